// Command faulty is a plugin of every kind that keeps its promises, except the one that its settings name. The conformance suite
// must find just that one.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// Config is the same for all kinds.
type Config struct {
	Fault string     `json:"fault,omitempty" jsonschema_description:"The promise to break."`
	Dir   string     `json:"dir" jsonschema:"required" jsonschema_description:"Folder that stands for the outside."`
	Rows  int64      `json:"rows,omitempty" jsonschema:"default=9000" jsonschema_description:"Rows of the source."`
	Token sdk.Secret `json:"token,omitempty" jsonschema_description:"A secret."`
}

func main() {
	sdk.Serve(sdk.Info{Name: "faulty", Version: "0.1.0", Publisher: "tests", Description: "Breaks one promise on request."},
		sdk.SourceOf(newSource), sdk.TransformOf(newTransform), sdk.CheckOf(newCheck), sdk.SinkOf(newSink))
}

// base is what all kinds share.
type base struct {
	Config
	env sdk.Env
}

const goodToken = "the-right-token"

// newBase has the faults that any kind may have.
func newBase(c Config, env sdk.Env) (base, error) {
	b := base{Config: c, env: env}
	switch c.Fault {
	case "stdout":
		fmt.Println("hello") // what must not be done
	case "logs_secret":
		env.Log.Info("connecting", "token", c.Token.Reveal())
	case "tells_secret":
		if token := c.Token.Reveal(); token != "" && token != goodToken {
			return b, fmt.Errorf("login with token %s was refused", token)
		}
	case "leaks_goroutine":
		go func() { select {} }()
	case "leaks_buffer":
		builder := array.NewInt64Builder(env.Alloc)
		builder.AppendValues(make([]int64, 100), nil)
		_ = builder.NewArray()
		builder.Release()
	case "leaks_file":
		file, err := os.Open(os.DevNull)
		if err != nil {
			return b, err
		}
		leaked = append(leaked, file)
	}
	return b, nil
}

// leaked keeps files from being closed by the garbage collector.
var leaked []*os.File

func (b base) is(fault string) bool { return b.Fault == fault }

func (b base) path(name string) string { return filepath.Join(b.Dir, name) }

func (base) Close(context.Context) error { return nil }
