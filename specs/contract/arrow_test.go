package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArrowTypesFollowLogicalThenPhysicalType(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ property, want string }{
		{"{logicalType: string}", "utf8"},
		{"{logicalType: string, physicalType: BYTEA}", "binary"},
		{"{logicalType: string, logicalTypeOptions: {format: binary}}", "binary"},
		{"{logicalType: string, physicalType: uuid}", "utf8"},
		{"{logicalType: boolean}", "bool"},
		{"{logicalType: integer}", "int64"},
		{"{logicalType: integer, logicalTypeOptions: {format: i8}}", "int8"},
		{"{logicalType: integer, logicalTypeOptions: {format: i32}, physicalType: bigint}", "int32"},
		{"{logicalType: integer, logicalTypeOptions: {format: u64}}", "uint64"},
		{"{logicalType: integer, logicalTypeOptions: {format: u128}}", "decimal256(39, 0)"},
		{"{logicalType: integer, physicalType: smallint}", "int16"},
		{"{logicalType: integer, physicalType: INT(11) UNSIGNED}", "uint32"},
		{"{logicalType: integer, physicalType: int8}", "int64"},
		{"{logicalType: integer, physicalType: 'NUMBER(38,0)'}", "decimal(38, 0)"},
		{"{logicalType: integer, physicalType: numeric}", "int64"},
		{"{logicalType: number}", "float64"},
		{"{logicalType: number, logicalTypeOptions: {format: f32}}", "float32"},
		{"{logicalType: number, physicalType: 'decimal(12, 2)'}", "decimal(12, 2)"},
		{"{logicalType: number, physicalType: 'decimal(50,10)'}", "decimal256(50, 10)"},
		{"{logicalType: number, physicalType: int4}", "int32"},
		{"{logicalType: number, physicalType: real}", "float32"},
		{"{logicalType: number, physicalType: double precision}", "float64"},
		{"{logicalType: number, physicalType: 'float(3,2)'}", "float64"},
		{"{logicalType: number, physicalType: numeric}", `error: physicalType "numeric" gives no precision: expected precision and scale, as in decimal(12,2)`},
		{"{logicalType: number, physicalType: 'decimal(80,2)'}", `error: physicalType "decimal(80,2)" can't be held: expected a precision of 1 to 76 and a scale within it`},
		{"{logicalType: number, physicalType: money}", `error: physicalType "money" of a number is not known: expected an integer, float or decimal type`},
		{"{logicalType: date}", "date32"},
		{"{logicalType: date, physicalType: timestamp}", "timestamp[us]"},
		{"{logicalType: date, physicalType: varchar(10)}", "date32"},
		{"{logicalType: timestamp}", "timestamp[us]"},
		{"{logicalType: timestamp, physicalType: timestamptz}", "timestamp[us, tz=UTC]"},
		{"{logicalType: timestamp, physicalType: timestamp(6) with time zone}", "timestamp[us, tz=UTC]"},
		{"{logicalType: timestamp, physicalType: timestamptz, logicalTypeOptions: {timezone: false}}", "timestamp[us]"},
		{"{logicalType: timestamp, logicalTypeOptions: {timezone: true}}", "timestamp[us, tz=UTC]"},
		{"{logicalType: time}", "time64[us]"},
		{"{logicalType: array, items: {logicalType: integer, required: true}}", "list<element: int64>"},
		{"{logicalType: array, items: {logicalType: string}}", "list<element: utf8, nullable>"},
		{"{logicalType: array}", `error: array "p" says nothing about its items`},
		{"{logicalType: object, properties: [{name: x, logicalType: date, required: true}, {name: y, physicalName: z, logicalType: boolean}]}", "struct<x: date32, z: bool nullable>"},
		{"{logicalType: object, physicalType: jsonb}", "utf8"},
		{"{logicalType: object, physicalType: Name}", `error: object "p" lists no properties`},
		{"{logicalType: object, properties: [{name: x}]}", `error: p.x: property "x" has neither a logicalType nor a physicalType`},
		{"{logicalType: array, items: {}}", `error: items of "p": property "" has neither a logicalType nor a physicalType`},
		{"{physicalType: text}", "utf8"},
		{"{physicalType: 'varchar[50]'}", "utf8"},
		{"{physicalType: bytea}", "binary"},
		{"{physicalType: bool}", "bool"},
		{"{physicalType: 'numeric(9,3)'}", "decimal(9, 3)"},
		{"{physicalType: timestamptz}", "timestamp[us, tz=UTC]"},
		{"{physicalType: datetime}", "timestamp[us]"},
		{"{physicalType: geometry}", `error: physicalType "geometry" of "p" is not known and there is no logicalType`},
	} {
		t.Run(tc.property, func(t *testing.T) {
			t.Parallel()
			text := head + "schema:\n- name: o\n  properties:\n  - " + strings.Replace(tc.property, "{", "{name: p, ", 1) + "\n"
			c, err := Parse("c.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			found, err := c.Schema[0].Properties[0].ArrowType()
			got := fmt.Sprint(found)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestColumnsKeepTheTree(t *testing.T) {
	t.Parallel()
	c, err := Load("testdata/everything.odcs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var walk func(columns []Column)
	walk = func(columns []Column) {
		for _, c := range columns {
			got = append(got, fmt.Sprintf("%s (%s) %v nullable=%v", c.Name(), strings.Join(c.Names, "."), c.Type, c.Nullable))
			walk(c.Fields)
			if c.Items != nil {
				walk([]Column{*c.Items})
			}
		}
	}
	walk(c.Schema[0].Columns())
	want := []string{
		"gauge_id (gauge) utf8 nullable=false",
		"taken_at (taken_at) timestamp[us, tz=UTC] nullable=false",
		"level (level) decimal(6, 2) nullable=true",
		"day (day) date32 nullable=true",
		"clock (clock) time64[us] nullable=true",
		"tries (tries) uint8 nullable=true",
		"mail (mail) utf8 nullable=true",
		"iced (iced) bool nullable=true",
		"sensors (sensors) list<element: struct<kind: utf8, drift: float32 nullable>, nullable> nullable=true",
		"sensors.[] (sensors.[]) struct<kind: utf8, drift: float32 nullable> nullable=true",
		"sensors.[].kind (sensors.[].kind) utf8 nullable=false",
		"sensors.[].drift (sensors.[].drift) float32 nullable=true",
		"site (site) struct<lat: float64, lon: float64 nullable> nullable=true",
		"site.lat (site.lat) float64 nullable=false",
		"site.lon (site.lon) float64 nullable=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
