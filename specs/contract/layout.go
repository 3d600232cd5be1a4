package contract

import (
	"fmt"
	"strings"
)

// goLayouts maps runs of letters of java.time.format.DateTimeFormatter, which ODCS prescribes for the format of dates
// and times, to the pieces of a layout of Go's time package.
var goLayouts = map[string]string{
	"yyyy": "2006", "uuuu": "2006", "yy": "06", "uu": "06",
	"MM": "01", "M": "1", "MMM": "Jan", "MMMM": "January",
	"dd": "02", "d": "2", "EEE": "Mon", "EEEE": "Monday",
	"HH": "15", "H": "15", "hh": "03", "h": "3", "a": "PM",
	"mm": "04", "m": "4", "ss": "05", "s": "5",
	"Z": "-0700", "xx": "-0700", "xxx": "-07:00", "x": "-07",
	"X": "Z07", "XX": "Z0700", "XXX": "Z07:00", "ZZZZZ": "Z07:00", "z": "MST",
}

// goLayout turns a date format of ODCS into a layout of Go's time package. Letters that Go has no word for are an
// error.
func goLayout(format string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(format); {
		switch c := format[i]; {
		case c == '\'':
			end := strings.IndexByte(format[i+1:], '\'')
			if end < 0 {
				return "", fmt.Errorf("format %q: quote at %d is not closed", format, i+1)
			}
			if err := literal(&out, format[i+1:i+1+end]); err != nil {
				return "", fmt.Errorf("format %q: %w", format, err)
			}
			i += end + 2
		case isLetter(c):
			n := run(format[i:])
			piece, err := layoutPiece(format[i:i+n], out.String())
			if err != nil {
				return "", fmt.Errorf("format %q: %w", format, err)
			}
			out.WriteString(piece)
			i += n
		default:
			if err := literal(&out, string(c)); err != nil {
				return "", fmt.Errorf("format %q: %w", format, err)
			}
			i++
		}
	}
	return out.String(), nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// run counts how often the first letter repeats.
func run(s string) int {
	return len(s) - len(strings.TrimLeft(s, s[:1]))
}

func layoutPiece(letters, before string) (string, error) {
	if strings.Trim(letters, "S") == "" && (strings.HasSuffix(before, ".") || strings.HasSuffix(before, ",")) {
		return strings.Repeat("0", len(letters)), nil
	}
	piece, ok := goLayouts[letters]
	if !ok {
		return "", fmt.Errorf("%q is not understood", letters)
	}
	return piece, nil
}

// literal refuses text that Go would take for a part of the layout.
func literal(out *strings.Builder, text string) error {
	if strings.ContainsAny(text, "0123456789JMP") || strings.ContainsAny(text, "[]{}#") {
		return fmt.Errorf("literal %q is not understood", text)
	}
	out.WriteString(text)
	return nil
}
