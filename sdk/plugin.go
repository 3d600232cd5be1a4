package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"github.com/invopop/jsonschema"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Info names a plugin.
type Info struct {
	Name        string // as operators write it: file, postgres, sql
	Version     string
	Description string
	Publisher   string
}

// Env is what an instance gets from the runtime beside its settings. The process sees only the environment variables that the
// pipeline names; its working directory is the project folder.
type Env struct {
	Log     hclog.Logger
	Alloc   memory.Allocator
	Scratch string // a private folder for temporary files, removed by the runtime
}

// Component is one kind that a plugin serves; made by SourceOf, TransformOf, CheckOf and SinkOf.
type Component struct {
	kind         pluginv1.Kind
	description  string
	capabilities []string
	abilities    []string
	schema       *jsonschema.Schema
	open         func(ctx context.Context, config []byte, env Env) (any, error)
	validate     func(config []byte) error
	fault        error
}

// Describe adds a line of documentation to a component, and what it touches: "network", "filesystem".
func (c Component) Describe(text string, capabilities ...string) Component {
	c.description, c.capabilities = text, capabilities
	return c
}

// Validator is implemented by settings that have rules beyond their JSON Schema. The error is best made with ConfigError;
// errors.Join reports several.
type Validator interface {
	Validate() error
}

// SourceOf serves a source. S is best the concrete type: its optional abilities (Acker, Tester) are found on it.
func SourceOf[C any, S Source](open func(context.Context, C, Env) (S, error)) Component {
	return component(pluginv1.Kind_KIND_SOURCE, open)
}

// TransformOf serves a transform.
func TransformOf[C any, T Transform](open func(context.Context, C, Env) (T, error)) Component {
	return component(pluginv1.Kind_KIND_TRANSFORM, open)
}

// CheckOf serves a check.
func CheckOf[C any, K Check](open func(context.Context, C, Env) (K, error)) Component {
	return component(pluginv1.Kind_KIND_CHECK, open)
}

// SinkOf serves a sink.
func SinkOf[C any, S Sink](open func(context.Context, C, Env) (S, error)) Component {
	return component(pluginv1.Kind_KIND_SINK, open)
}

func component[C, T any](kind pluginv1.Kind, open func(context.Context, C, Env) (T, error)) Component {
	schema, fault := configSchema(reflect.TypeFor[C]())
	decode := func(raw []byte) (C, error) {
		var config C
		if err := decodeConfig(raw, schema, &config); err != nil {
			return config, err
		}
		if v, ok := any(&config).(Validator); ok { // a pointer has the methods of its value, too
			return config, v.Validate()
		}
		return config, nil
	}
	return Component{
		kind: kind, schema: schema, fault: fault, abilities: abilitiesOf[T](),
		open: func(ctx context.Context, raw []byte, env Env) (any, error) {
			config, err := decode(raw)
			if err != nil {
				return nil, err
			}
			return open(ctx, config, env)
		},
		validate: func(raw []byte) error {
			_, err := decode(raw)
			return err
		},
	}
}

func abilitiesOf[T any]() []string {
	var zero T
	var abilities []string
	if _, ok := any(zero).(Acker); ok {
		abilities = append(abilities, "acker")
	}
	if _, ok := any(zero).(Unordered); ok {
		abilities = append(abilities, "unordered")
	}
	if _, ok := any(zero).(Tester); ok {
		abilities = append(abilities, "tester")
	}
	if _, ok := any(zero).(Provisioner); ok {
		abilities = append(abilities, "provisioner")
	}
	if _, ok := any(zero).(Collector); ok {
		abilities = append(abilities, "collector")
	}
	return abilities
}

// describe is the plugin's answer to Describe.
func describe(info Info, components []Component) (*pluginv1.DescribeResponse, error) {
	if info.Name == "" || info.Version == "" {
		return nil, errors.New("a plugin needs a name and a version in its Info")
	}
	response := &pluginv1.DescribeResponse{
		Name: info.Name, Version: info.Version, Description: info.Description, Publisher: info.Publisher, SdkVersion: Version,
	}
	for _, c := range components {
		if c.fault != nil {
			return nil, fmt.Errorf("%s %s: %w", c.kind, info.Name, c.fault)
		}
		schema, err := json.Marshal(c.schema)
		if err != nil {
			return nil, err
		}
		response.Components = append(response.Components, &pluginv1.Component{
			Kind: c.kind, Description: c.description, ConfigSchema: schema, Abilities: c.abilities, Capabilities: c.capabilities,
		})
	}
	return response, nil
}
