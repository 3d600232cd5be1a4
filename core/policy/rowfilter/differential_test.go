package rowfilter_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/qanat-data/qanat/core/mask/filter"
	"github.com/qanat-data/qanat/core/policy/rowfilter"
)

// mostRefused is the share of random policies that may be beyond the translator. They hold wrong types and built-ins
// that nothing translates on purpose.
const mostRefused = 0.08

// Random policies on random rows: Arrow and DuckDB select exactly the rows for which Rego, row by row, says true.
func TestTranslatedFiltersSelectTheRowsOfRego(t *testing.T) {
	t.Parallel()
	schemas, policies := 6, 60
	if os.Getenv("QANAT_SLOW") != "" {
		schemas, policies = 40, 150
	}
	var total tally
	for seed := range schemas {
		for _, v2 := range []bool{false, true} {
			d := newDifferential(t, uint64(seed), v2)
			for range policies {
				d.try()
			}
			total.add(d.tally)
		}
	}
	t.Logf("%d exact, %d refused, %d leak, %d drop; of the exact %d pass all or none", total.exact, total.refused, total.leak, total.drop, total.constant)
	if share := float64(total.refused) / float64(total.exact+total.refused); share > mostRefused {
		t.Errorf("%.0f%% refused, more than %.0f%%", 100*share, 100*mostRefused)
	}
}

type tally struct{ exact, refused, leak, drop, constant int }

func (t *tally) add(o tally) {
	t.exact += o.exact
	t.refused += o.refused
	t.leak += o.leak
	t.drop += o.drop
	t.constant += o.constant
}

type differential struct {
	tally
	t       *testing.T
	grammar grammar
	rows    arrow.RecordBatch
	inputs  []ast.Value
	db      *sql.DB
	store   storage.Store
}

var types = []arrow.DataType{
	arrow.BinaryTypes.String, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int64,
	arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32,
	&arrow.Decimal128Type{Precision: 20, Scale: 2}, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
}

func newDifferential(t *testing.T, seed uint64, v2 bool) *differential {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	fields := make([]arrow.Field, 3+r.IntN(5))
	for i := range fields {
		fields[i] = arrow.Field{Name: fmt.Sprintf("c%d", i), Type: one(r, types), Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	return over(t, grammar{r: r, schema: schema, v2: v2}, 50)
}

func over(t *testing.T, g grammar, rows int) *differential {
	t.Helper()
	d := &differential{t: t, grammar: g, rows: randomRows(g.r, g.schema, rows)}
	t.Cleanup(d.rows.Release)
	d.store = inmem.NewFromObject(map[string]any{
		"list": []any{"eu", "uk"}, "empty": []any{}, "numbers": []any{1, 2.5}, "truths": []any{true}, "limits": map[string]any{"eu": 1, "uk": 20, "a": 2.5},
	})
	for i := range int(d.rows.NumRows()) {
		d.inputs = append(d.inputs, rowInput(d.rows, i))
	}
	d.db = load(t, d.rows)
	return d
}

func randomRows(r *rand.Rand, s *arrow.Schema, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	floats := []float64{0, 1, 2, -1, 2.5, 0.1, 1000, 300, 100.25, math.NaN()}
	integers := []int64{0, 1, 2, -1, 300, 1000, 9007199254740993, 9007199254740992}
	for _, field := range b.Fields() {
		for range n {
			if r.IntN(4) == 0 {
				field.AppendNull()
				continue
			}
			text, _ := strconv.Unquote(one(r, texts))
			switch f := field.(type) {
			case *array.StringBuilder:
				f.Append(text)
			case *array.LargeStringBuilder:
				f.Append(text)
			case *array.BinaryDictionaryBuilder:
				_ = f.AppendString(text)
			case *array.BooleanBuilder:
				f.Append(r.IntN(2) == 0)
			case *array.Int64Builder:
				f.Append(one(r, integers))
			case *array.Int16Builder:
				f.Append(int16(one(r, integers[:6])))
			case *array.Uint64Builder:
				f.Append(uint64(max(0, one(r, integers))))
			case *array.Float64Builder:
				f.Append(one(r, floats))
			case *array.Float32Builder:
				f.Append(float32(one(r, floats)))
			case *array.Decimal128Builder:
				f.Append(decimal128.FromBigInt(big.NewInt(one(r, []int64{0, 100, 200, -100, 250, 10025, 30000}))))
			default:
				panic(fmt.Sprintf("no values for %T", field))
			}
		}
	}
	return b.NewRecordBatch()
}

// rowInput is the input for one row: NULL and NaN are absent.
func rowInput(rows arrow.RecordBatch, i int) ast.Value {
	row := ast.NewObject()
	for c, column := range rows.Columns() {
		if v := value(column, i); v != nil {
			row.Insert(ast.StringTerm(rows.ColumnName(c)), v)
		}
	}
	return ast.NewObject([2]*ast.Term{ast.StringTerm("purpose"), ast.StringTerm("billing")}, [2]*ast.Term{ast.StringTerm("row"), ast.NewTerm(row)})
}

func value(a arrow.Array, i int) *ast.Term {
	if a.IsNull(i) {
		return nil
	}
	float := func(f float64, bits int) *ast.Term {
		if math.IsNaN(f) {
			return nil
		}
		return ast.NewTerm(ast.Number(strconv.FormatFloat(f, 'g', -1, bits)))
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return value(a.Dictionary(), a.GetValueIndex(i))
	case *array.String, *array.LargeString:
		return ast.StringTerm(a.ValueStr(i))
	case *array.Boolean:
		return ast.BooleanTerm(a.Value(i))
	case *array.Float64:
		return float(a.Value(i), 64)
	case *array.Float32:
		return float(float64(a.Value(i)), 32)
	}
	return ast.NewTerm(ast.Number(a.ValueStr(i)))
}

// try makes one policy that compiles and compares what passes.
func (d *differential) try() {
	source, c := "", (*ast.Compiler)(nil)
	for c == nil {
		source = d.grammar.policy()
		module, err := ast.ParseModuleWithOpts("egress.rego", source, ast.ParserOptions{})
		if err != nil {
			d.t.Fatalf("%v\n%s", err, source)
		}
		if c = ast.NewCompiler(); !compiles(c, module) {
			c = nil
		}
	}
	d.check(source, c)
}

// check compares what passes one policy.
func (d *differential) check(source string, c *ast.Compiler) {
	translator, err := rowfilter.New(c, rowfilter.Limits{Time: time.Minute})
	if err != nil {
		d.t.Fatalf("%v\n%s", err, source)
	}
	known := ast.NewObject([2]*ast.Term{ast.StringTerm("purpose"), ast.StringTerm("billing")})
	result, err := translator.Filter(d.t.Context(), d.store, egress, known, d.grammar.schema)
	if err != nil {
		var refused *rowfilter.UntranslatableError
		if !errors.As(err, &refused) || refused.File != "egress.rego" || refused.Line == 0 || refused.Expression == "" || refused.Why == "" {
			d.t.Errorf("a refusal that names its place is wanted: %#v\n%s", err, source)
		}
		if os.Getenv("QANAT_REFUSED") != "" {
			d.t.Logf("%v\n%s", err, source)
		}
		d.refused++
		return
	}
	d.compare(source, result, d.rowByRow(c))
}

func compiles(c *ast.Compiler, m *ast.Module) bool {
	c.Compile(map[string]*ast.Module{"egress.rego": m})
	return !c.Failed()
}

func (d *differential) rowByRow(c *ast.Compiler) []int {
	q, err := rego.New(rego.Query(egress), rego.Compiler(c), rego.Store(d.store)).PrepareForEval(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	var out []int
	for i, in := range d.inputs {
		rs, err := q.Eval(d.t.Context(), rego.EvalParsedInput(in))
		if err == nil && len(rs) == 1 && rs[0].Expressions[0].Value == true {
			out = append(out, i)
		}
	}
	return out
}

func (d *differential) compare(source string, result rowfilter.Result, want []int) {
	if result.Kind != rowfilter.Where {
		d.constant++
	}
	f, err := filter.Bind(result.Predicate, d.grammar.schema)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, source)
	}
	text, args := f.SQL()
	for back, got := range map[string][]int{"Arrow": d.onArrow(f), "DuckDB": d.inDuckDB(text, args)} {
		if slices.Equal(got, want) {
			continue
		}
		leaked := slices.DeleteFunc(slices.Clone(got), func(i int) bool { return slices.Contains(want, i) })
		dropped := slices.DeleteFunc(slices.Clone(want), func(i int) bool { return slices.Contains(got, i) })
		if len(leaked) > 0 {
			d.leak++
		} else {
			d.drop++
		}
		d.t.Errorf("%s leaks rows %v and drops %v\n%s\n%s\n%s %v\n%s", back, leaked, dropped, source, result.Predicate, text, args, d.show(leaked, dropped))
		return
	}
	d.exact++
}

func (d *differential) show(rows ...[]int) string {
	out := d.grammar.schema.String()
	for _, i := range slices.Concat(rows...) {
		out += fmt.Sprintf("\n%d: %v", i, d.inputs[i])
	}
	return out
}

func (d *differential) onArrow(f *filter.Filter) []int {
	passing, _, err := f.Keep(d.rows)
	if err != nil {
		d.t.Fatal(err)
	}
	var out []int
	for i := range d.inputs {
		if passing[i/64]>>(i%64)&1 == 1 {
			out = append(out, i)
		}
	}
	return out
}

func (d *differential) inDuckDB(text string, args []any) []int {
	found, err := d.db.QueryContext(d.t.Context(), `select "row number" from loaded where `+text+` order by 1`, args...)
	if err != nil {
		d.t.Fatalf("%v\n%s\n%v", err, text, args)
	}
	defer found.Close()
	var out []int
	for found.Next() {
		var i int
		if err := found.Scan(&i); err != nil {
			d.t.Fatal(err)
		}
		out = append(out, i)
	}
	if err := found.Err(); err != nil {
		d.t.Fatalf("%v\n%s\n%v", err, text, args)
	}
	return out
}

// load puts rows, numbered, into a table of DuckDB.
func load(t *testing.T, rows arrow.RecordBatch) *sql.DB {
	t.Helper()
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	reader, err := array.NewRecordReader(rows.Schema(), []arrow.RecordBatch{rows})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(raw any) error {
		bridge, err := duckdb.NewArrowFromConn(raw.(*duckdb.Conn))
		if err != nil {
			return err
		}
		release, err := bridge.RegisterView(reader, "incoming")
		if err != nil {
			return err
		}
		defer release()
		return run(t.Context(), raw.(driver.ExecerContext), `set threads = 1`,
			`create temp table loaded as select *, row_number() over () - 1 as "row number" from incoming`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func run(ctx context.Context, conn driver.ExecerContext, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s, nil); err != nil {
			return err
		}
	}
	return nil
}
