package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/contract"
)

// Config is what operators write.
type Config struct {
	Contract     string `json:"contract,omitempty" jsonschema_description:"Path of a data contract (ODCS YAML), from the project folder."`
	Object       string `json:"object,omitempty" jsonschema_description:"Schema object of the contract; the one named as the stream if absent, or the only one."`
	Rules        []Rule `json:"rules,omitempty" jsonschema_description:"Rules beside those of the contract, or instead of one."`
	ExtraColumns string `json:"extra_columns,omitempty" jsonschema:"enum=allow,enum=warn,enum=fail,default=allow" jsonschema_description:"What to do about columns that neither the contract nor a rule names."`
}

// Rule is what one column must keep.
type Rule struct {
	Column    string            `json:"column" jsonschema:"required,minLength=1" jsonschema_description:"Name of the column; dots lead into structs."`
	Type      string            `json:"type,omitempty" jsonschema_description:"string, boolean, integer, number, date, timestamp, time, or a database type such as decimal(12,2) or smallint. Text may hold such a value."`
	Required  bool              `json:"required,omitempty" jsonschema_description:"No nulls."`
	Min       json.RawMessage   `json:"min,omitempty" jsonschema_description:"Least value: a number, or text with a date, timestamp or time."`
	Max       json.RawMessage   `json:"max,omitempty" jsonschema_description:"Greatest value: a number, or text with a date, timestamp or time."`
	Enum      []json.RawMessage `json:"enum,omitempty" jsonschema_description:"The values that are allowed."`
	Pattern   string            `json:"pattern,omitempty" jsonschema_description:"Regular expression (RE2) that matches somewhere in the text; anchor it to mean all of it."`
	MinLength *int              `json:"min_length,omitempty" jsonschema:"minimum=0" jsonschema_description:"Least number of characters."`
	MaxLength *int              `json:"max_length,omitempty" jsonschema:"minimum=0" jsonschema_description:"Greatest number of characters."`
	Unique    bool              `json:"unique,omitempty" jsonschema_description:"No value twice within a unit."`
	Format    string            `json:"format,omitempty" jsonschema:"enum=email,enum=uuid,enum=uri,enum=hostname,enum=ipv4,enum=ipv6,enum=byte" jsonschema_description:"Form of the text."`
}

// What may be done about extra columns.
const (
	allowExtra = "allow"
	warnExtra  = "warn"
	failExtra  = "fail"
)

// Validate lists every fault of the settings; the contract is read when the check starts.
func (c Config) Validate() error {
	var faults []error
	if c.Contract == "" && len(c.Rules) == 0 {
		faults = append(faults, sdk.ConfigError("/contract", "neither a contract nor rules are given, so there is nothing to check"))
	}
	if c.Contract != "" {
		if _, err := contract.Load(c.Contract); err != nil {
			faults = append(faults, sdk.ConfigError("/contract", "%v", err))
		}
	}
	if c.Object != "" && c.Contract == "" {
		faults = append(faults, sdk.ConfigError("/object", "names an object of a contract, but no contract is given"))
	}
	if extras := []string{"", allowExtra, warnExtra, failExtra}; !slices.Contains(extras, c.ExtraColumns) {
		faults = append(faults, sdk.ConfigError("/extra_columns", "%q is not known, allowed are %s", c.ExtraColumns, strings.Join(extras[1:], ", ")))
	}
	for i, rule := range c.Rules {
		_, err := rule.demands("/rules/" + strconv.Itoa(i))
		faults = append(faults, err)
	}
	return errors.Join(flat(faults)...)
}

// flat takes joined errors apart, so that each fault is told with its own path.
func flat(faults []error) []error {
	var out []error
	for _, fault := range faults {
		joined, ok := fault.(interface{ Unwrap() []error })
		switch {
		case ok:
			out = append(out, joined.Unwrap()...)
		case fault != nil:
			out = append(out, fault)
		}
	}
	return out
}
