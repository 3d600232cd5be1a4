package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qanat-data/qanat/core/flow/progress"
)

// progressLines shows a line for each flow: redrawn in place on a terminal, and elsewhere printed when a flow's state changes.
type progressLines struct {
	out    io.Writer
	run    running
	redraw bool
	drawn  int
	states map[string]string
	quit   chan struct{}
	done   chan struct{}
}

// How often lines are redrawn, or looked at for a change.
const progressEvery = 200 * time.Millisecond

// running is what runs flows: a pipeline's, or those of a replay, which become known one by one.
type running interface {
	Flows() []string
	Status(flow string) progress.Status
}

func watch(out io.Writer, run running) *progressLines {
	p := &progressLines{
		out: out, run: run, redraw: terminal(out), states: map[string]string{}, quit: make(chan struct{}), done: make(chan struct{}),
	}
	go p.loop()
	return p
}

func (p *progressLines) loop() {
	defer close(p.done)
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.show()
		case <-p.quit:
			p.show()
			return
		}
	}
}

// stop draws the last state and waits until it is drawn.
func (p *progressLines) stop() {
	close(p.quit)
	<-p.done
}

func (p *progressLines) show() {
	var text strings.Builder
	if p.redraw && p.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", p.drawn)
	}
	width, flows := 0, p.run.Flows()
	for _, name := range flows {
		width = max(width, len(name))
	}
	for _, name := range flows {
		status := p.run.Status(name)
		if !p.redraw && p.states[name] == string(status.State)+status.Note {
			continue
		}
		p.states[name] = string(status.State) + status.Note
		line := progressLine(status, width)
		if p.redraw && status.Note != "" && !status.State.Ended() { // what is waited for must not be what doesn't fit
			line = waitingLine(status, width)
		}
		if p.redraw {
			line = "\x1b[2K" + clip(line, columns(p.out))
		}
		text.WriteString(line + "\n")
	}
	p.drawn = len(flows)
	_, _ = io.WriteString(p.out, text.String())
}

// columns is the width of a terminal, 80 where it is not known.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

// clip keeps a line from wrapping, which would spoil the next redraw.
func clip(line string, width int) string {
	runes := []rune(line)
	if len(runes) < width {
		return line
	}
	return string(runes[:max(0, width-2)]) + "…"
}

// waitingLine is the line of a flow that waits for something.
func waitingLine(s progress.Status, width int) string {
	return fmt.Sprintf("%-*s  %-8s  %s", width, s.Flow, s.State, strings.Join(strings.Fields(s.Note), " "))
}

func progressLine(s progress.Status, width int) string {
	end := s.Ended
	if end.IsZero() {
		end = time.Now()
	}
	elapsed := end.Sub(s.Started).Seconds()
	line := fmt.Sprintf("%-*s  %-8s %14s read %14s committed", width, s.Flow, s.State, count(s.Reading), count(s.Written))
	if elapsed > 0.5 && s.Reading > 0 {
		line += fmt.Sprintf("  %s rows/s", count(int64(float64(s.Reading)/elapsed)))
	}
	if s.Source.TotalBytes > 0 && !s.State.Ended() {
		line += fmt.Sprintf("  %d%%", min(100, s.Source.Bytes*100/s.Source.TotalBytes))
	}
	if l := s.Source.Lag; l != nil && !s.State.Ended() {
		line += fmt.Sprintf("  lag %s, %.1f s", size(int64(l.Bytes)), l.Behind.Seconds()) //nolint:gosec // less than 8 EiB
	}
	if s.Quarantined > 0 {
		line += fmt.Sprintf("  %s quarantined", count(s.Quarantined))
	}
	if s.Note != "" {
		line += "  " + strings.Join(strings.Fields(s.Note), " ")
	}
	return line
}
