package contract

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const head = `apiVersion: v3.1.0
kind: DataContract
id: c
version: 1.0.0
status: draft
`

const oldHead = `apiVersion: v3.0.2
kind: DataContract
id: c
version: 1.0.0
status: draft
`

// onColumn is a contract whose only column c has the given lines, from line 10 on.
func onColumn(head, lines string) string {
	return head + "schema:\n- name: o\n  properties:\n  - name: c\n" + indent(lines, "    ")
}

// onObject is a contract whose object o, with the columns a and b, has the given lines, from line 8 on.
func onObject(head, lines string) string {
	return head + "schema:\n- name: o\n" + indent(lines, "  ") + "  properties: [{name: a}, {name: b}]\n"
}

func indent(lines, by string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(by + line)
	}
	if b.Len() > 0 && !strings.HasSuffix(lines, "\n") {
		b.WriteString("\n")
	}
	return b.String()
}

func faultsOf(t *testing.T, text string) []string {
	t.Helper()
	c, err := Parse("c.yaml", []byte(text))
	var faults Faults
	switch {
	case err == nil:
		return nil
	case c != nil:
		t.Error("a contract came with faults")
	case !errors.As(err, &faults):
		t.Fatalf("expected Faults, got %v", err)
	}
	return strings.Split(faults.Error(), "\n")
}

func TestFaultsPointToTheirPlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"syntax", "a: [1", "c.yaml:1:4: not valid YAML: sequence end token ']' not found"},
		{"empty", "", "c.yaml:1:1: expected one YAML document, found 0"},
		{"two documents", head + "---\n" + head, "c.yaml:1:1: expected one YAML document, found 2"},
		{"list", "- a", "c.yaml:1:1: expected a data contract, found a list"},
		{"scalar", "hello", `c.yaml:1:1: expected a data contract, found the string "hello"`},
		{"no version", "id: x", `c.yaml:1:1: key "apiVersion" is missing (allowed are v3.1.0, v3.0.2, v3.0.1, v3.0.0)`},
		{"number as version", "apiVersion: 3", `c.yaml:1:13: apiVersion: expected a version of ODCS, found the number 3 (allowed are v3.1.0, v3.0.2, v3.0.1, v3.0.0)`},
		{"older version", "apiVersion: v2.2.2", `c.yaml:1:13: apiVersion: version "v2.2.2" of ODCS is not supported (allowed are v3.1.0, v3.0.2, v3.0.1, v3.0.0)`},
		{"unquoted version", strings.Replace(head, "1.0.0", "1.0", 1), `c.yaml:4:10: version: expected a string, found the number 1.0 (put it in quotes)`},
		{"kind", strings.Replace(head, "DataContract", "Contract", 1), `c.yaml:2:1: kind: kind "Contract" is not known (allowed are DataContract)`},
		{"duplicate key", head + "name: a\nname: b\n", `c.yaml:7:1: name: key "name" is already given in line 6`},
		{"unknown anchor", head + "name: *x\n", `c.yaml:6:7: name: no anchor "x" stands before this alias`},
		{"merge of text", head + "price:\n  <<: x\n", `c.yaml:7:7: price: expected a mapping to merge, found a string`},
		{"complex key", head + "? [a]\n: b\n", `c.yaml:7:1: not valid YAML: found an invalid key for this map`},
		{"older library rule", onColumn(oldHead, "quality: [{type: library}]"), `c.yaml:10:15: schema[0].properties[0].quality[0]: a library rule needs "rule" or "metric"`},
		{"unknown key", head + "nme: a\n", `c.yaml:6:1: nme: key "nme" is not part of ODCS here (did you mean "name"?)`},
		{"type of list", head + "tags: a\n", `c.yaml:6:7: tags: expected a list, found the string "a"`},
		{"infinite number", head + "price: {priceAmount: .inf}\n", "c.yaml:6:22: price.priceAmount: expected a number between 1e-400 and 1e400, found .inf"},
		{"number out of range", head + "price: {priceAmount: 1e999}\n", "c.yaml:6:22: price.priceAmount: expected a number between 1e-400 and 1e400, found 1e999"},
		{"whole number", onColumn(head, "primaryKeyPosition: 1.5"), `c.yaml:10:25: schema[0].properties[0].primaryKeyPosition: expected a whole number, found the number 1.5`},
		{"boolean", onColumn(head, "unique: 1"), "c.yaml:10:13: schema[0].properties[0].unique: expected true or false, found the number 1"},
		{"unknown key of property", onColumn(head, "requird: true"), `c.yaml:10:5: schema[0].properties[0].requird: key "requird" is not part of ODCS here (did you mean "required"?)`},
		{"logical type", onColumn(head, "logicalType: strng"), `c.yaml:10:5: schema[0].properties[0].logicalType: logicalType "strng" is not known (did you mean "string"?)`},
		{"option of another type", onColumn(head, "logicalType: string\nlogicalTypeOptions: {minimum: 1}"), `c.yaml:11:26: schema[0].properties[0].logicalTypeOptions.minimum: option "minimum" doesn't belong to logicalType string (allowed are format, maxLength, minLength, pattern)`},
		{"bound as text", onColumn(head, "logicalType: integer\nlogicalTypeOptions: {minimum: '1'}"), `c.yaml:11:26: schema[0].properties[0].logicalTypeOptions.minimum: expected a number for minimum of logicalType integer`},
		{"boolean bound in v3.1", onColumn(head, "logicalType: integer\nlogicalTypeOptions: {exclusiveMinimum: true}"), `c.yaml:11:26: schema[0].properties[0].logicalTypeOptions.exclusiveMinimum: expected a number for exclusiveMinimum of logicalType integer`},
		{"crossed lengths", onColumn(head, "logicalType: string\nlogicalTypeOptions: {minLength: 4, maxLength: 3}"), `c.yaml:11:26: schema[0].properties[0].logicalTypeOptions.minLength: minLength 4 is above maxLength 3`},
		{"crossed bounds", onColumn(head, "logicalType: number\nlogicalTypeOptions: {minimum: 0.2, maximum: 0.1}"), `c.yaml:11:26: schema[0].properties[0].logicalTypeOptions.minimum: minimum 0.2 is above maximum 0.1`},
		{"step", onColumn(head, "logicalType: number\nlogicalTypeOptions: {multipleOf: 0}"), `c.yaml:11:26: schema[0].properties[0].logicalTypeOptions.multipleOf: expected a number above 0, found 0`},
		{"items without array", onColumn(head, "logicalType: string\nitems: {}"), `c.yaml:11:5: schema[0].properties[0].items: items need logicalType array, found string`},
		{"required field", onColumn(head, "logicalType: object\nproperties: [{name: x}]\nlogicalTypeOptions: {required: [y]}"), `c.yaml:12:26: schema[0].properties[0].logicalTypeOptions.required: property "y" isn't described (did you mean "x"?)`},
		{"metric", onColumn(head, "quality:\n- metric: nulls\n  mustBe: 0"), `c.yaml:11:7: schema[0].properties[0].quality[0].metric: metric "nulls" is not known (allowed are duplicateValues, invalidValues, missingValues, nullValues, rowCount)`},
		{"two operators", onColumn(head, "quality:\n- metric: nullValues\n  mustBe: 0\n  mustBeLessThan: 1"), `c.yaml:13:7: schema[0].properties[0].quality[0].mustBeLessThan: expected one operator, found mustBe and mustBeLessThan (write one rule for each)`},
		{"no operator", onColumn(head, "quality:\n- type: sql\n  query: select 1"), `c.yaml:11:7: schema[0].properties[0].quality[0]: an operator is missing (allowed are mustBe, mustNotBe, mustBeGreaterThan, mustBeGreaterOrEqualTo, mustBeLessThan, mustBeLessOrEqualTo, mustBeBetween, mustNotBeBetween)`},
		{"between", onObject(head, "quality:\n- {metric: rowCount, mustBeBetween: [5, 1]}"), `c.yaml:9:24: schema[0].quality[0].mustBeBetween: expected two different numbers, the smaller one first`},
		{"composite key", onObject(head, "quality:\n- {metric: duplicateValues, mustBe: 0, arguments: {properties: [a, z]}}"), `c.yaml:9:42: schema[0].quality[0].arguments: property "z": not in the contract: there are a, b`},
		{"reference", onObject(head, "relationships:\n- {from: o.a, to: nowhere}"), `c.yaml:9:17: schema[0].relationships[0].to: reference "nowhere" is not understood (write object.property, or a path of ids such as schema/orders/properties/id)`},
		{"reference sizes", onObject(head, "relationships:\n- {from: [o.a, o.b], to: [x.y]}"), `c.yaml:9:5: schema[0].relationships[0]: from names 2 properties and to names 1; expected as many, written alike`},
		{"object twice", head + "schema:\n- {name: o}\n- {name: o}\n", `c.yaml:8:4: schema[1].name: schema object "o" is already described in line 7`},
		{"key position twice", head + "schema:\n- name: o\n  properties:\n  - {name: a, primaryKey: true, primaryKeyPosition: 1}\n  - {name: b, primaryKey: true, primaryKeyPosition: 1}\n", `c.yaml:10:33: schema[0].properties[1].primaryKeyPosition: position 1 of the primary key belongs to "a" already`},
		{"server", head + "servers:\n- {server: s, type: postgrs}\n", `c.yaml:7:15: servers[0].type: type of server "postgrs" is not known (did you mean "postgres"?)`},
		{"server setting", head + "servers:\n- {server: s, type: s3}\n", `c.yaml:7:3: servers[0]: a server of type s3 needs "location"`},
		{"stable id", head + "price: {id: a b}\n", `c.yaml:6:13: price.id: id "a b" is not a stable id (allowed are letters, digits, _ and -)`},
		{"relationship shape", onColumn(head, "relationships: [{to: {}}]"), `c.yaml:10:26: schema[0].properties[0].relationships[0].to: expected a string or a list of strings, found a mapping`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]string{tc.want}, faultsOf(t, tc.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllFaultsAreReportedInOrder(t *testing.T) {
	t.Parallel()
	got := faultsOf(t, head+"tenant: 7\nschema:\n- properties:\n  - {name: a, unique: 3}\n  - {}\nextra: 1\n")
	want := []string{
		"c.yaml:6:9: tenant: expected a string, found the number 7 (put it in quotes)",
		`c.yaml:8:3: schema[0]: key "name" is missing`,
		"c.yaml:9:23: schema[0].properties[0].unique: expected true or false, found the number 3",
		`c.yaml:10:5: schema[0].properties[1]: key "name" is missing`,
	}
	if diff := cmp.Diff(want, got[:len(got)-1]); diff != "" {
		t.Error(diff)
	}
	if last := got[len(got)-1]; !strings.HasPrefix(last, `c.yaml:11:1: extra: key "extra" is not part of ODCS here (allowed are apiVersion, `) {
		t.Error(last)
	}
}

func TestOlderContractsMayHaveUnknownKeysBelowTopAndOutsideTheSchema(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v3.0.0", "v3.0.1", "v3.0.2"} {
		text := strings.Replace(oldHead, "v3.0.2", version, 1) +
			"team:\n- {username: ada, room: 7}\nsupport:\n- {channel: x, url: y, hours: 24}\n"
		c, err := Parse("c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Team.Members[0].Username; got != "ada" {
			t.Errorf("first member is %q", got)
		}
	}
	for _, text := range []string{onColumn(oldHead, "requird: true"), onObject(oldHead, "house: rules"), oldHead + "house: rules\n"} {
		if got := faultsOf(t, text); len(got) != 1 || !strings.Contains(got[0], "is not part of ODCS here") {
			t.Errorf("expected one fault for the unknown key, got %q", got)
		}
	}
}

func TestAliasesAndMergesAreFollowed(t *testing.T) {
	t.Parallel()
	text := head + `schema:
- name: o
  properties:
  - &base {name: a, logicalType: string, classification: public}
  - <<: *base
    name: b
  - name: d
    tags: &tags [x, !!str 7]
  - {name: e, tags: *tags}
  - <<: [{name: f, required: true}, {name: g, unique: true}]
`
	c, err := Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, e := c.Schema[0].Properties[1], c.Schema[0].Properties[3]
	if b.Name != "b" || b.LogicalType != "string" || b.Classification != "public" {
		t.Errorf("merge gave %q %q %q", b.Name, b.LogicalType, b.Classification)
	}
	if f := c.Schema[0].Properties[4]; f.Name != "f" || !f.Required || !f.Unique {
		t.Errorf("merge of two gave %+v", f)
	}
	if diff := cmp.Diff([]string{"x", "7"}, e.Tags); diff != "" {
		t.Error(diff)
	}
}

func TestDocumentsThatUnfoldWithoutEndAreRefused(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString(head + "customProperties:\n- property: p\n  value:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&bomb, "    a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	deep := head + "customProperties:\n- property: p\n  value: " + strings.Repeat("[", 150) + strings.Repeat("]", 150) + "\n"
	for _, text := range []string{bomb.String(), deep} {
		got := faultsOf(t, text)
		if len(got) != 1 || !strings.Contains(got[0], "expected at most 1048576 values, nested at most 100 deep") {
			t.Errorf("got %q", got)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	if _, err := Load(filepath.Join(t.TempDir(), "absent.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("id: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.HasPrefix(err.Error(), file+":1:1: ") {
		t.Errorf("got %v", err)
	}
}

func TestObjectsAreFoundByEitherName(t *testing.T) {
	t.Parallel()
	c, err := Parse("c.yaml", []byte(head+"schema:\n- {name: orders, physicalName: t_orders}\n- {name: t_orders, physicalName: other}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"orders": "orders", "t_orders": "t_orders", "other": "t_orders"} {
		if o, err := c.Object(name); err != nil || o.Name != want {
			t.Errorf("Object(%q) = %v, %v; want %s", name, o, err, want)
		}
	}
	_, err = c.Object("order")
	if !errors.Is(err, ErrNotFound) || err.Error() != `schema object "order": not in the contract: there are orders, t_orders` {
		t.Errorf("got %v", err)
	}
	if _, err := c.Object(""); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty name of two objects gave %v", err)
	}
	c.Schema = c.Schema[:1]
	if o, err := c.Object(""); err != nil || o.Name != "orders" {
		t.Errorf("the only object wasn't found: %v", err)
	}
	c.Schema = nil
	if _, err := c.Object("x"); err == nil || !strings.HasSuffix(err.Error(), "there are none") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		head, oldHead, "a: *b", "a: &a [*a]", "? [x]\n: y", "<<: {a: 1}", "\t", "a: !!str\n", "- - -", "{", "%YAML 1.2\n---\n" + head,
		onColumn(head, "logicalType: string\nlogicalTypeOptions: {pattern: '('}\nquality:\n- {metric: nullValues, mustBe: 0}"),
		onColumn(oldHead, "logicalType: date\nlogicalTypeOptions: {minimum: x, exclusiveMinimum: true, format: yyyy}\nprimaryKey: true"),
		onObject(head, "quality:\n- {metric: duplicateValues, mustBeBetween: [0, 1e9], arguments: {properties: [a]}}"),
	} {
		f.Add([]byte(text))
	}
	if everything, err := os.ReadFile("testdata/everything.odcs.yaml"); err == nil {
		f.Add(everything)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.yaml", data)
		if (c == nil) != (err != nil) {
			t.Fatalf("contract %v with error %v", c, err)
		}
		if c == nil {
			return
		}
		for i := range c.Schema {
			rules, _ := c.Schema[i].Rules()
			for _, r := range rules {
				if r.ID == "" || r.Kind == "" || r.Limit.Op == "" || r.Place.Line == 0 {
					t.Errorf("incomplete rule %+v", r)
				}
			}
		}
	})
}
