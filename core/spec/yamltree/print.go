package yamltree

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	bold   = "\x1b[1m"
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	blue   = "\x1b[1;34m"
	cyan   = "\x1b[1;36m"
	reset  = "\x1b[0m"
)

// Print writes the faults for people, sorted by place, each with its excerpt and hint.
func Print(w io.Writer, faults []Fault, color bool) error {
	out := bufio.NewWriter(w)
	for i, f := range Sort(slices.Clone(faults)) {
		if i > 0 {
			fmt.Fprintln(out)
		}
		printer{out, color}.fault(f)
	}
	return out.Flush()
}

type printer struct {
	out   io.Writer
	color bool
}

func (p printer) fault(f Fault) {
	severity, tint := string(f.Severity), red
	if f.Severity == Warning {
		tint = yellow
	}
	fmt.Fprintf(p.out, "%s: %s\n", p.paint(tint, severity), p.paint(bold, f.Message))
	gutter := strings.Repeat(" ", len(strconv.Itoa(f.Line)))
	switch {
	case f.File != "" && f.Line > 0:
		fmt.Fprintf(p.out, "%s%s %s:%d:%d\n", gutter, p.paint(blue, "-->"), f.File, f.Line, f.Column)
	case f.File != "":
		fmt.Fprintf(p.out, "%s%s %s\n", gutter, p.paint(blue, "-->"), f.File)
	}
	if line, caret, ok := strings.Cut(f.Excerpt, "\n"); ok {
		bar := p.paint(blue, "|")
		fmt.Fprintf(p.out, "%s %s\n", gutter, bar)
		fmt.Fprintf(p.out, "%s %s %s\n", p.paint(blue, strconv.Itoa(f.Line)), bar, line)
		fmt.Fprintf(p.out, "%s %s %s\n", gutter, bar, p.paint(tint, caret))
	}
	if f.Hint != "" {
		fmt.Fprintf(p.out, "%s: %s\n", p.paint(cyan, "help"), f.Hint)
	}
}

func (p printer) paint(tint, text string) string {
	if !p.color {
		return text
	}
	return tint + text + reset
}
