package main

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
)

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// checkTemplate checks a name template: relative, below the folder, nothing hidden, and different for each unit.
func checkTemplate(name string) error {
	for _, p := range placeholder.FindAllString(name, -1) {
		switch p {
		case "{stream}", "{flow}", "{seq}", "{part}":
		default:
			return fmt.Errorf("%q has %s, allowed are {stream}, {flow}, {seq}, {part}", name, p)
		}
	}
	if !strings.Contains(name, "{seq}") {
		return fmt.Errorf("%q lacks {seq}, so that units would overwrite each other", name)
	}
	for segment := range strings.SplitSeq(placeholder.ReplaceAllString(name, "x"), "/") {
		if segment == "" || strings.HasPrefix(segment, ".") || strings.ContainsAny(segment, "{}\\\x00") {
			return fmt.Errorf("%q: expected a relative path without empty or hidden parts", name)
		}
	}
	return nil
}

// fileName is the final name of a part (from 1) of a stream in a unit.
func (c Config) fileName(flow, stream string, seq uint64, part int) string {
	name := strings.NewReplacer(
		"{stream}", safe(stream), "{flow}", safe(flow), "{seq}", fmt.Sprintf("%012d", seq), "{part}", fmt.Sprintf("%04d", part),
	).Replace(c.Name)
	if part > 1 && !strings.Contains(c.Name, "{part}") {
		name += fmt.Sprintf("-%04d", part)
	}
	return name + c.ending()
}

// longestName leaves room for seq, part and ending within the 255 bytes that file systems allow.
const longestName = 100

// safe turns a name into a part of a path, different names into different ones: bytes that mean something to file systems or
// to readers that skip hidden files become %XX, and names that are too long end with a digest.
func safe(name string) string {
	if name == "" {
		return "%"
	}
	var out strings.Builder
	for i := range len(name) {
		switch b := name[i]; {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-', i > 0 && (b == '_' || b == '.'):
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	if text := out.String(); len(text) <= longestName {
		return text
	}
	return fmt.Sprintf("%s~%x", out.String()[:longestName-33], sha256.Sum256([]byte(name)))[:longestName]
}
