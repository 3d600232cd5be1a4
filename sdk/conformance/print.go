package conformance

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Style says how a report is printed.
type Style struct {
	Color bool
	Width int // columns of the terminal; 100 if 0
}

const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

func (s Style) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return color + text + plain
}

func (s Style) sign(status Status) string {
	switch status {
	case Passed:
		return s.paint(green, "✓")
	case Failed:
		return s.paint(red, "✗")
	}
	return s.paint(yellow, "–")
}

// Print writes the report for people: a table of the checks by group, the details of those that failed, and a summary.
func (r Report) Print(w io.Writer, style Style) error {
	if style.Width <= 0 {
		style.Width = 100
	}
	out := &page{w: w, style: style}
	out.line("%s %s (%s)", r.Plugin, r.Version, strings.Join(r.Kinds, ", "))
	out.line("%s", r.Binary)
	group := ""
	for _, one := range r.Results {
		if one.Group != group {
			group = one.Group
			out.line("")
			out.line("%s", group)
		}
		out.result(one)
	}
	for _, one := range r.Results {
		if one.Status == Failed {
			out.failure(one)
		}
	}
	out.line("")
	for _, g := range r.Guarantees {
		out.wrapped("  ", g)
	}
	verdict := style.paint(green, "conforms")
	if !r.OK() {
		verdict = style.paint(red, "does not conform")
	}
	out.line("%s: %d passed, %d failed, %d skipped in %s", verdict, r.PassedCount, r.FailedCount, r.SkipCount, round(r.Duration))
	return out.err
}

// page writes lines until one fails.
type page struct {
	w     io.Writer
	style Style
	err   error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

const idWidth = 26

func (p *page) result(one Result) {
	begin := fmt.Sprintf("  %s %-*s %8s  ", p.style.sign(one.Status), idWidth, one.ID, round(one.Duration))
	p.hanging(begin, strings.Repeat(" ", idWidth+15), one.Promise)
	indent := strings.Repeat(" ", 6)
	if one.Status == Skipped {
		p.wrapped(indent, "skipped: "+one.Detail)
		if one.Cost != "" {
			p.wrapped(indent, "that means: "+one.Cost)
		}
	}
	for _, note := range one.Notes {
		p.wrapped(indent, note)
	}
}

func (p *page) failure(one Result) {
	p.line("")
	p.line("%s %s", p.style.sign(one.Status), p.style.paint(red, one.ID))
	p.wrapped("  ", "promise: "+one.Promise)
	for line := range strings.Lines(one.Detail) {
		p.wrapped("  ", strings.TrimRight(line, "\n"))
	}
}

// wrapped breaks text between words.
func (p *page) wrapped(indent, text string) { p.hanging(indent, indent, text) }

// hanging begins the first line in another way than those that follow.
func (p *page) hanging(begin, indent, text string) {
	room := max(20, p.style.Width-len(indent))
	line := ""
	for word := range strings.SplitSeq(text, " ") {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			p.line("%s%s", begin, line)
			begin, line = indent, ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.line("%s%s", begin, line)
}

func cut(text string, width int) string {
	runes := []rune(text)
	if width < 10 || len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
