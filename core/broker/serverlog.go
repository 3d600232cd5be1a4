package broker

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// serverLog hands the server's lines on at debug, and its errors as warnings:
// a failing disk must be seen, though Qanat itself may get over it.
type serverLog struct {
	hclog.Logger
	failed func(line string) // is told what says that something could not be stored
}

func (l serverLog) Noticef(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(format string, v ...any)  { l.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Tracef(format string, v ...any)  { l.Trace(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }

// storeFailures are what the server says of a disk that is full or broken; clients hear nothing.
var storeFailures = []string{"failed to store a msg", "no space left on device", "out of space", "input/output error", "quota exceeded"}

func (l serverLog) Errorf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.Warn(line)
	for _, known := range storeFailures {
		if strings.Contains(line, known) {
			l.failed(line)
			return
		}
	}
}
