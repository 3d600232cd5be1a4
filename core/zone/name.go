package zone

import (
	"fmt"
	"slices"
	"strings"
)

// The zones. Each has a bucket of its own.
const (
	Landing    = "landing"
	Processing = "processing"
	Curated    = "curated"
	Serving    = "serving"
	Quarantine = "quarantine"
)

// All lists the zones in the order that data passes them.
func All() []string { return []string{Landing, Processing, Curated, Serving, Quarantine} }

// Name is a dataset's name, written zone.namespace.dataset.
type Name struct{ Zone, Namespace, Dataset string }

// ParseName reads zone.namespace.dataset. The zone must be one of All, the other
// parts lower-case letters, digits, _ and -.
func ParseName(s string) (Name, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return Name{}, fmt.Errorf("dataset %q: expected zone.namespace.name, such as landing.shop.orders", s)
	}
	n := Name{parts[0], parts[1], parts[2]}
	return n, n.check()
}

func (n Name) check() error {
	if !slices.Contains(All(), n.Zone) {
		return fmt.Errorf("dataset %q: zone %q is unknown, allowed are %s", n, n.Zone, strings.Join(All(), ", "))
	}
	for _, part := range []string{n.Namespace, n.Dataset} {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			return fmt.Errorf("dataset %q: part %q: allowed are lower-case letters, digits, _ and -", n, part)
		}
	}
	return nil
}

// String gives zone.namespace.dataset.
func (n Name) String() string { return n.Zone + "." + n.Namespace + "." + n.Dataset }

func (n Name) namespace() []string  { return []string{n.Zone, n.Namespace} }
func (n Name) identifier() []string { return []string{n.Zone, n.Namespace, n.Dataset} }
