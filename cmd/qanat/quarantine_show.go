package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
)

func (a *app) quarantineShowCommand() *cobra.Command {
	var s selection
	var limit int64
	var raw bool
	cmd := &cobra.Command{
		Use:   "show PIPELINE.FLOW",
		Short: "Show quarantined rows with the reasons; --raw with what they hold",
		Long: `Shows quarantined rows with the reasons. With --raw it shows what they hold; with --raw -o json it prints one object for
each row on a line, which "release --from" takes when the rows have been corrected.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			if err := flowName(args[0]); err != nil {
				return err
			}
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				return a.show(cmd.Context(), p, args[0], selected, limit, raw)
			})
		},
	}
	s.rows(cmd)
	limited(cmd, &limit)
	cmd.Flags().BoolVar(&raw, "raw", false, "show what the rows hold")
	return cmd
}

// rowPrinter prints quarantined rows.
type rowPrinter interface {
	row(shownRow) error
	end() error
}

func (a *app) show(ctx context.Context, p *engine.Project, name string, s quarantine.Selection, limit int64, raw bool) error {
	rows, err := p.QuarantinedRows(ctx, name, s)
	if err != nil {
		return named(err)
	}
	var printer rowPrinter
	switch {
	case a.json() && raw:
		printer = lineRows{a}
	case a.json():
		printer = &listRows{app: a, rows: []shownRow{}}
	default:
		headings := []string{"ID", "AT", "STAGE", "CODE", "COLUMN", "ORIGIN", "STATE", "REASON"}
		if raw {
			headings = append(headings, "RAW")
		}
		printer = &tableOfRows{t: newTable(a.out, headings...), raw: raw}
	}
	more, err := printRows(rows, limit, printer)
	if err := errors.Join(err, printer.end()); err != nil {
		return err
	}
	if more {
		_, _ = fmt.Fprintf(a.err, "there are more rows than %d; --limit 0 shows all\n", limit)
	}
	return nil
}

func printRows(rows iter.Seq2[quarantine.Row, error], limit int64, to rowPrinter) (more bool, err error) {
	n := int64(0)
	for row, err := range rows {
		if err != nil {
			return false, err
		}
		if n++; limit > 0 && n > limit {
			return true, nil
		}
		if err := to.row(shown(row)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// shownRow is a quarantined row for people and for editing. Row is what it holds if that is an object, else Raw is, as text, or Bytes.
type shownRow struct {
	ID     string          `json:"id"`
	Unit   int64           `json:"unit"`
	At     time.Time       `json:"at"`
	Stream string          `json:"stream,omitempty"`
	Stage  string          `json:"stage"`
	Step   string          `json:"step,omitempty"`
	Plugin string          `json:"plugin,omitempty"`
	Code   string          `json:"code"`
	Reason string          `json:"reason"`
	Column string          `json:"column,omitempty"`
	Origin string          `json:"origin,omitempty"`
	State  string          `json:"state"`
	Row    json.RawMessage `json:"row,omitempty"`
	Raw    string          `json:"raw,omitempty"`
	Bytes  []byte          `json:"raw_base64,omitempty"`
}

func shown(r quarantine.Row) shownRow {
	out := shownRow{
		Unit: r.Unit, At: r.At.UTC(), Stream: strings.Clone(r.Stream), Stage: strings.Clone(r.Stage), Step: strings.Clone(r.Step),
		Plugin: strings.Clone(r.Plugin), Code: strings.Clone(r.Code), Reason: strings.Clone(r.Reason), Column: strings.Clone(r.Column),
		Origin: strings.Clone(r.Origin), State: "open",
	}
	if r.ID != (quarantine.RowID{}) {
		out.ID = r.ID.String()
	}
	switch r.Outcome {
	case ledger.Released, ledger.DroppedRow:
		out.State = string(r.Outcome)
	}
	switch {
	case json.Valid(r.Raw) && r.Raw[0] == '{' && r.Stage != "source":
		out.Row = json.RawMessage(strings.Clone(string(r.Raw)))
	case utf8.Valid(r.Raw):
		out.Raw = string(r.Raw)
	default:
		out.Bytes = []byte(string(r.Raw))
	}
	return out
}

// listRows prints a list without what the rows hold.
type listRows struct {
	*app
	rows []shownRow
}

func (l *listRows) row(r shownRow) error {
	r.Row, r.Raw, r.Bytes = nil, "", nil
	l.rows = append(l.rows, r)
	return nil
}

func (l *listRows) end() error { return l.printJSON(l.rows) }

// lineRows prints an object on a line.
type lineRows struct{ *app }

func (l lineRows) row(r shownRow) error {
	encoder := json.NewEncoder(l.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

func (lineRows) end() error { return nil }

type tableOfRows struct {
	t   *table
	raw bool
}

func (t *tableOfRows) row(r shownRow) error {
	cells := []string{
		dash(r.ID), r.At.Format(time.RFC3339), stageName(r.Stage, r.Step), r.Code, dash(r.Column), dash(r.Origin), r.State, r.Reason,
	}
	if t.raw {
		held := string(r.Row) + r.Raw
		if len(r.Bytes) > 0 {
			held = fmt.Sprintf("%x", r.Bytes)
		}
		cells = append(cells, held)
	}
	for i := range cells {
		cells[i] = strings.Map(printable, cells[i])
	}
	t.t.row(cells...)
	return nil
}

func (t *tableOfRows) end() error { return t.t.flush() }
