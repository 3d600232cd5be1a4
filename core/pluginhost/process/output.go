package process

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

const (
	tailLines   = 20
	beforePanic = 4 // lines of the tail that are older than a panic
)

// output takes the lines that a plugin writes: to the host's log, and to the tail for the report of a crash.
type output struct {
	log hclog.Logger

	mu       sync.Mutex
	tail     []string
	panicked bool
}

// stderr takes a line of the log that the SDK writes, or any other text.
func (o *output) stderr(line string) {
	level, message, fields := parse(line)
	o.keep(render(level, message, fields))
	o.log.Log(level, message, fields...)
}

// stdout takes a line that a plugin printed, which it should not.
func (o *output) stdout(line string) {
	o.keep(line)
	o.log.Debug(line, "from", "stdout")
}

// keep holds the last lines; of a panic the first ones, because they say what happened.
func (o *output) keep(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.panicked && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")) {
		o.panicked = true
		o.tail = o.tail[max(0, len(o.tail)-beforePanic):]
	}
	if len(o.tail) == tailLines {
		if o.panicked {
			return
		}
		o.tail = slices.Delete(o.tail, 0, 1)
	}
	o.tail = append(o.tail, line)
}

func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tail)
}

// parse reads hclog's JSON form; other text is a message of its own.
func parse(line string) (hclog.Level, string, []any) {
	var entry map[string]any
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &entry) != nil {
		return plainLevel(line), line, nil
	}
	message, isText := entry["@message"].(string)
	level, _ := entry["@level"].(string)
	if !isText || hclog.LevelFromString(level) == hclog.NoLevel {
		return hclog.Debug, line, nil
	}
	var fields []any
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		if !strings.HasPrefix(key, "@") {
			fields = append(fields, key, entry[key])
		}
	}
	return hclog.LevelFromString(level), message, fields
}

func plainLevel(line string) hclog.Level {
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		return hclog.Error
	}
	return hclog.Debug
}

func render(level hclog.Level, message string, fields []any) string {
	if fields == nil && level <= hclog.Debug || strings.HasPrefix(message, "panic: ") || strings.HasPrefix(message, "fatal error: ") {
		return message
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", level, message)
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, " %v=%v", fields[i], fields[i+1])
	}
	return b.String()
}
