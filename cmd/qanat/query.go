package main

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/query"
)

func (a *app) queryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "query SQL",
		Short: "Answer SQL over the zones (DuckDB's dialect); - reads the statement from standard input",
		Example: `  qanat query "select origin, count(*) as n from processing.air.flights group by 1 order by 2 desc limit 5"
  qanat query -o csv "from curated.air.daily" > daily.csv`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := args[0]
			if text == "-" {
				read, err := io.ReadAll(os.Stdin)
				if err != nil {
					return environment(err)
				}
				text = string(read)
			}
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				rows, err := p.Query(cmd.Context(), text)
				if _, wrong := errors.AsType[*query.StatementError](err); wrong {
					return usage(err)
				}
				if err != nil {
					return environment(err)
				}
				return errors.Join(a.printRows(rows), rows.Close())
			})
		},
	}
}

// rowWriter prints the rows of an answer.
type rowWriter interface {
	begin(columns, kinds []string) error
	row(values []any) error
	end() error
}

func (a *app) printRows(rows *query.Rows) error {
	var w rowWriter
	switch a.output {
	case "json":
		w = &jsonRows{out: a.out}
	case "csv":
		w = &csvRows{w: csv.NewWriter(a.out)}
	default:
		w = &tableRows{t: newTable(a.out)}
	}
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	kinds := make([]string, len(types))
	for i, t := range types {
		kinds[i] = t.DatabaseTypeName()
	}
	if err := w.begin(columns, kinds); err != nil {
		return err
	}
	values := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := w.row(values); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), w.end())
}

type tableRows struct {
	t     *table
	kinds []string
	n     int64
}

func (r *tableRows) begin(columns, kinds []string) error {
	r.kinds = kinds
	r.t.row(columns...)
	return nil
}

// printable keeps what data holds from moving columns, or a terminal's cursor.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

func (r *tableRows) row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = strings.Map(printable, query.TextForm(r.kinds[i], v, "NULL"))
	}
	r.t.row(cells...)
	r.n++
	return nil
}

func (r *tableRows) end() error {
	r.t.row()
	r.t.row("(" + plural(r.n, "row") + ")")
	return r.t.flush()
}

type csvRows struct {
	w     *csv.Writer
	kinds []string
}

func (r *csvRows) begin(columns, kinds []string) error {
	r.kinds = kinds
	return r.w.Write(columns)
}

func (r *csvRows) row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = query.TextForm(r.kinds[i], v, "")
	}
	return r.w.Write(cells)
}

func (r *csvRows) end() error {
	r.w.Flush()
	return r.w.Error()
}

// jsonRows prints an array of objects whose keys are in the order of the columns.
type jsonRows struct {
	out     io.Writer
	columns []string
	kinds   []string
	n       int
}

func (r *jsonRows) begin(columns, kinds []string) error {
	r.columns, r.kinds = columns, kinds
	_, err := io.WriteString(r.out, "[")
	return err
}

func (r *jsonRows) row(values []any) error {
	var b strings.Builder
	if r.n > 0 {
		b.WriteString(",")
	}
	r.n++
	b.WriteString("\n  {")
	for i, v := range values {
		name, err := query.Marshal(r.columns[i])
		if err != nil {
			return err
		}
		value, err := query.Marshal(query.JSONForm(r.kinds[i], v))
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.Write(name)
		b.WriteString(": ")
		b.Write(value)
	}
	b.WriteString("}")
	_, err := io.WriteString(r.out, b.String())
	return err
}

func (r *jsonRows) end() error {
	_, err := io.WriteString(r.out, "\n]\n")
	return err
}
