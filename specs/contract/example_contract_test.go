package contract

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const airports = "../examples/contracts/airports.odcs.yaml"

func TestAirportsContractIsCheckedWhole(t *testing.T) {
	t.Parallel()
	c, err := Load(airports)
	if err != nil {
		t.Fatal(err)
	}
	rules, unsupported := c.Schema[0].Rules()
	if len(unsupported) > 0 {
		t.Errorf("unsupported: %+v", unsupported)
	}
	var got []string
	for _, r := range rules {
		if r.Kind != KindType && r.Kind != KindRequired {
			text := shownRule(r)
			got = append(got, text[:strings.LastIndex(text, " @")])
		}
	}
	want := []string{
		"primary_key: unique iata",
		"iata.length: length iata at least 3 at most 4",
		"iata.pattern: pattern iata /^[0-9A-Z]+$/",
		"name.length: length name at least 1",
		"city_known: missing city [<nil>  NA] limit < 1 % warning",
		"state.pattern: pattern state /^[A-Z]{2}$/",
		"country_expected: enum country [USA Palau Thailand N Mariana Islands Federated States of Micronesia]",
		"latitude.range: range latitude from -90 to 90",
		"longitude.range: range longitude from -180 to 180",
		"airports_row_count: row_count limit >= 3000",
		"airports_distinct_places: unique name city state limit < 5 warning",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAirportsContractFitsSchemaAndFile(t *testing.T) {
	t.Parallel()
	if err := odcsSchema(t).Validate(document(t, airports)); err != nil {
		t.Error(err)
	}
	c, err := Load(airports)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dataFolder(t), "airports.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	header, err := bufio.NewReader(file).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, column := range c.Schema[0].Columns() {
		names = append(names, column.Name())
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(header), ","), names); diff != "" {
		t.Error(diff)
	}
}
