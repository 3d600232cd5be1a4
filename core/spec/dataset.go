package spec

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// The zones that a dataset can lie in.
const (
	Landing    = "landing"
	Processing = "processing"
	Curated    = "curated"
	Serving    = "serving"
	Quarantine = "quarantine"
)

// Zones lists the zones in the order in which data moves through them.
func Zones() []string { return []string{Landing, Processing, Curated, Serving, Quarantine} }

// Dataset names one table as zone.namespace.name. Its parts may hold placeholders ({stream}, {name})
// or patterns (*) where the field that it comes from allows them.
type Dataset struct{ Zone, Namespace, Name string }

// String is zone.namespace.name.
func (d Dataset) String() string { return d.Zone + "." + d.Namespace + "." + d.Name }

// Expand puts a value in place of a placeholder: Expand("name", "orders") turns {name} into orders.
func (d Dataset) Expand(placeholder, value string) Dataset {
	mark := "{" + placeholder + "}"
	d.Namespace = strings.ReplaceAll(d.Namespace, mark, value)
	d.Name = strings.ReplaceAll(d.Name, mark, value)
	return d
}

// IsPattern tells whether the name stands for every dataset that it matches.
func (d Dataset) IsPattern() bool { return strings.Contains(d.Namespace+d.Name, "*") }

// Matches tells whether a pattern of a flow's from covers a dataset. A * stands for any characters of
// one part.
func (d Dataset) Matches(other Dataset) bool {
	return d.Zone == other.Zone && matches(d.Namespace, other.Namespace) && matches(d.Name, other.Name)
}

func matches(pattern, part string) bool {
	ok, err := path.Match(pattern, part)
	return ok && err == nil
}

// ParseDataset reads zone.namespace.name without placeholders or patterns.
func ParseDataset(text string) (Dataset, error) {
	return parseDataset(text, datasetForm{zones: Zones()})
}

// ParsePattern reads a dataset of which namespace and name may hold *.
func ParsePattern(text string) (Dataset, error) {
	return parseDataset(text, datasetForm{zones: Zones(), pattern: true})
}

// datasetForm says what a field allows in the name of a dataset.
type datasetForm struct {
	zones       []string
	placeholder string
	pattern     bool
}

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	patternForm = regexp.MustCompile(`^[a-z*][a-z0-9_*-]*$`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

const longestName = 128

func parseDataset(text string, form datasetForm) (Dataset, error) {
	if strings.Contains(text, "${") {
		return Dataset{}, &valueError{fmt.Sprintf("dataset %q holds a reference", text), "references are allowed in config blocks and in the project; use an overlay to change a dataset"}
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Dataset{}, &valueError{fmt.Sprintf("dataset %q has %d parts, expected zone.namespace.name", text, len(parts)), ""}
	}
	d := Dataset{parts[0], parts[1], parts[2]}
	if !slices.Contains(form.zones, d.Zone) {
		return Dataset{}, wrongZone(d.Zone, form.zones)
	}
	for _, part := range parts[1:] {
		if err := form.part(text, part); err != nil {
			return Dataset{}, err
		}
	}
	return d, nil
}

func wrongZone(zone string, allowed []string) error {
	list := strings.Join(allowed, ", ")
	if slices.Contains(Zones(), zone) {
		return &valueError{fmt.Sprintf("zone %q is not allowed here, expected %s", zone, list), ""}
	}
	return &valueError{fmt.Sprintf("unknown zone %q, expected %s", zone, list), yamltree.Near(zone, allowed)}
}

func (form datasetForm) part(text, part string) error {
	if len(part) > longestName {
		return &valueError{fmt.Sprintf("a part of dataset %q is longer than %d characters", text, longestName), ""}
	}
	plain := part
	for _, mark := range placeholder.FindAllString(part, -1) {
		if form.placeholder == "" || mark != "{"+form.placeholder+"}" {
			hint := ""
			if form.placeholder != "" {
				hint = fmt.Sprintf("{%s} is allowed here", form.placeholder)
			}
			return &valueError{fmt.Sprintf("unknown placeholder %s in dataset %q", mark, text), hint}
		}
		plain = strings.Replace(plain, mark, "x", 1)
	}
	allowed := nameForm
	if form.pattern {
		allowed = patternForm
	}
	if allowed.MatchString(plain) {
		return nil
	}
	if strings.Contains(part, "*") && !form.pattern {
		return &valueError{fmt.Sprintf("dataset %q is a pattern, and one dataset is expected", text), ""}
	}
	return &valueError{fmt.Sprintf("part %q of dataset %q is not a name", part, text), nameHint}
}

const nameHint = "names start with a letter and go on with a-z, 0-9, _ and -"
