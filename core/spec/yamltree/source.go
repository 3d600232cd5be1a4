package yamltree

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// source is the text of a file, kept for excerpts.
type source struct {
	name  string
	lines []string

	mu     sync.Mutex
	hidden map[place]bool // values that excerpts star out; their src is nil
}

func (s *source) conceal(line, column, width int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hidden == nil {
		s.hidden = map[place]bool{}
	}
	s.hidden[place{nil, line, column, width}] = true
}

func (s *source) concealed(line, column, width int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hidden[place{nil, line, column, width}]
}

// shown is a line as excerpts may show it.
func (s *source) shown(line int) []rune {
	text := []rune(maskLine(strings.TrimRight(s.lines[line-1], "\r")))
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.hidden {
		if h.line != line {
			continue
		}
		for i := max(h.column-1, 0); i < min(h.column-1+h.width, len(text)); i++ {
			text[i] = '*'
		}
	}
	return text
}

func newSource(name, text string) *source {
	return &source{name: name, lines: strings.Split(text, "\n")}
}

func (s *source) fault(code, message string, line, column, width int) Fault {
	return Fault{
		Severity: Error, Code: code, File: s.name, Line: line, Column: column, Message: message,
		Excerpt: s.excerpt(line, column, width),
	}
}

const excerptWidth = 110

// excerpt is the line and its carets, cut to a window around the column where the line is long.
func (s *source) excerpt(line, column, width int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	text := s.shown(line)
	column = min(max(column, 1), len(text)+1)
	from := max(0, column-1-excerptWidth*2/3)
	if len(text) <= excerptWidth {
		from = 0
	}
	to := min(len(text), from+excerptWidth)
	var b strings.Builder
	for _, r := range text[from:to] {
		b.WriteRune(printable(r))
	}
	b.WriteByte('\n')
	for _, r := range text[from : column-1] {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat("^", max(1, min(width, to-column+1))))
	return b.String()
}

// printable keeps control characters of a hostile file off the terminal.
func printable(r rune) rune {
	if r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

var (
	keyWord     = `(?i)(?:passw|passphrase|secret|token|credential|api_?-?key|access_?-?key|private|dsn)[a-z0-9_-]*`
	secretKey   = regexp.MustCompile(keyWord)
	secretEntry = regexp.MustCompile(keyWord + `["']?\s*[:=]\s*("[^"]*"?|'[^']*'?|[^\s'"][^}]*)`)
	nextKey     = regexp.MustCompile(`,\s*["']?[A-Za-z_][A-Za-z0-9_-]*["']?:(\s|$)`)
	userInfo    = regexp.MustCompile(`://[^/\s:@]*:([^@\s]+)@`)
)

// SecretName tells whether a key looks as if it held a secret, so that excerpts and listings can mask
// its value before any schema says which fields are secret.
func SecretName(key string) bool {
	return secretKey.MatchString(key)
}

// HasReference tells whether text refers to a value kept elsewhere, as in ${env:NAME}.
func HasReference(text string) bool {
	return strings.Contains(text, "${env:") || strings.Contains(text, "${file:")
}

// maskLine stars out what looks like a plain secret, character by character so that carets stay right.
func maskLine(line string) string {
	for _, pattern := range []*regexp.Regexp{secretEntry, userInfo} {
		for _, span := range slices.Backward(pattern.FindAllStringSubmatchIndex(line, -1)) {
			value := line[span[2]:span[3]]
			if next := nextKey.FindStringIndex(value); next != nil && !strings.ContainsAny(value[:1], `"'`) {
				value = value[:next[0]]
			}
			if !strings.HasPrefix(strings.TrimLeft(value, `"'`), "${") {
				line = line[:span[2]] + stars(value) + line[span[2]+len(value):]
			}
		}
	}
	return line
}

func stars(value string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\'' {
			return r
		}
		return '*'
	}, value)
}
