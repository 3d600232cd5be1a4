package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
	"github.com/qanat-data/qanat/sdk"
)

// refusal is a row that the target does not take.
type refusal struct {
	row          int64 // in the batch; at a commit, in the unit
	code, reason string
	stream       string // at a commit
	raw          []byte // at a commit
}

// rejections are refusals in the order of rows.
func rejections(stream string, refused []refusal) []sdk.Rejection {
	slices.SortFunc(refused, func(a, b refusal) int { return int(a.row - b.row) })
	var out []sdk.Rejection
	for _, r := range refused {
		if r.stream == "" {
			r.stream = stream
		}
		out = append(out, sdk.Rejection{Stream: r.stream, Code: r.code, Reason: r.reason, Raw: r.raw, Row: int(r.row)})
	}
	return out
}

// codes of rejections, by what the server says; what is not here has the code refused.
var codes = map[string]string{
	"23502": "not_null", "23505": "not_unique", "23503": "foreign_key", "23514": "check", "23P01": "exclusion", "44000": "check",
	"22001": "too_long", "22003": encode.CodeRange, "22008": encode.CodeRange, "22P02": encode.CodeMalformed, "22007": encode.CodeMalformed,
	"22021": encode.CodeEncoding, "54000": encode.CodeTooLarge,
}

// dataError is what the server has against the values of a row, if that is what it says: data exceptions, violated constraints, limits of
// an index, and what triggers raise.
func dataError(err error) *pgconn.PgError {
	p, said := errors.AsType[*pgconn.PgError](err)
	if !said || p.Code == "22P04" { // a malformed stream is ours
		return nil
	}
	switch {
	case strings.HasPrefix(p.Code, "22"), strings.HasPrefix(p.Code, "23"):
		return p
	case p.Code == "44000", p.Code == "54000", p.Code == "P0001", p.Code == "P0004":
		return p
	}
	return nil
}

const maxReason = 500

func refusedBy(row int64, p *pgconn.PgError) refusal {
	code, known := codes[p.Code]
	if !known {
		code = "refused"
	}
	reason := p.Message
	if p.Detail != "" && !strings.HasPrefix(p.Detail, "Failing row contains") { // the row is kept besides
		reason += ": " + p.Detail
	}
	return refusal{row: row, code: code, reason: strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")}
}

func faulty(row int64, f *encode.Fault) refusal {
	return refusal{row: row, code: f.Code, reason: f.Error()}
}
