package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	Files
	Stream  string        `json:"stream,omitempty" jsonschema_description:"Name of the stream; by default made of the file's name, or of the last folder without wildcards."`
	Streams []NamedStream `json:"streams,omitempty" jsonschema_description:"Several streams, instead of path; each has the settings that one stream has here."`

	Parallel       int          `json:"parallel,omitempty" jsonschema:"default=2,minimum=1,maximum=64" jsonschema_description:"Files that are read at the same time."`
	BatchRows      int          `json:"batch_rows,omitempty" jsonschema:"default=8192,minimum=1,maximum=1000000" jsonschema_description:"Rows in a batch."`
	CheckpointRows int64        `json:"checkpoint_rows,omitempty" jsonschema:"default=250000,minimum=1" jsonschema_description:"Rows after which the read could be resumed, beside the ends of files."`
	Changed        string       `json:"changed,omitempty" jsonschema:"default=append,enum=append,enum=reread,enum=ignore,enum=error" jsonschema_description:"What to do about a file that changed after it was read: append reads what was added to a local text file and fails for other changes, reread reads it again from its beginning, ignore leaves it, error fails."`
	AllowEmpty     bool         `json:"allow_empty,omitempty" jsonschema_description:"Accept a path that matches no file."`
	Poll           sdk.Duration `json:"poll,omitempty" jsonschema:"default=5s" jsonschema_description:"How often to look for new files when following."`
	Settle         sdk.Duration `json:"settle,omitempty" jsonschema:"default=2s" jsonschema_description:"When following, how long a local file must be left unchanged before it is taken for complete."`
	S3             S3           `json:"s3,omitzero" jsonschema_description:"The server for paths that begin with s3://."`
}

// Files says which files a stream has and how they are written.
type Files struct {
	Path        Paths             `json:"path,omitempty" jsonschema_description:"A file, a pattern (*, ?, [a-z], {a,b}, ** for any folders) or s3://bucket/key-or-pattern; or a list of these."`
	Format      string            `json:"format,omitempty" jsonschema:"default=auto,enum=auto,enum=csv,enum=tsv,enum=jsonl,enum=json,enum=parquet,enum=arrow" jsonschema_description:"Format; auto goes by the ending of the file's name."`
	Compression string            `json:"compression,omitempty" jsonschema:"default=auto,enum=auto,enum=none,enum=gzip,enum=zstd" jsonschema_description:"Compression of text files; auto goes by the ending of the file's name."`
	Encoding    string            `json:"encoding,omitempty" jsonschema:"default=utf-8,enum=utf-8,enum=utf-16,enum=latin-1" jsonschema_description:"Character encoding of text files; latin-1 is Windows-1252."`
	CSV         CSV               `json:"csv,omitzero" jsonschema_description:"How CSV files are written."`
	JSON        JSON              `json:"json,omitzero" jsonschema_description:"How JSON files are read."`
	Columns     map[string]string `json:"columns,omitempty" jsonschema_description:"Types of columns that should not be inferred: bool, int32, int64, float32, float64, string, date, timestamp, timestamp_ntz, decimal(p,s), binary, json, list<type>, struct<name: type, …>."`
	Infer       Infer             `json:"infer,omitzero" jsonschema_description:"How types are inferred."`
	Key         []string          `json:"key,omitempty" jsonschema_description:"Columns that identify a row."`
}

// NamedStream is one of several streams.
type NamedStream struct {
	Name string `json:"name" jsonschema:"required" jsonschema_description:"Name of the stream."`
	Files
}

// CSV is the dialect of CSV files.
type CSV struct {
	Delimiter  string   `json:"delimiter,omitempty" jsonschema_description:"One ASCII character; a comma by default, a tab for tsv."`
	Header     *bool    `json:"header,omitempty" jsonschema:"default=true" jsonschema_description:"The first record has the columns' names. Without one they are column_1, column_2 and so on."`
	Names      []string `json:"names,omitempty" jsonschema_description:"The columns' names, instead of the header's."`
	Quote      string   `json:"quote,omitempty" jsonschema_description:"The quote; a double quote by default, none for files without quoting."`
	Lazy       bool     `json:"lazy,omitempty" jsonschema_description:"Accept quotes anywhere in a field."`
	Comment    string   `json:"comment,omitempty" jsonschema_description:"A character that begins a line to be skipped."`
	SkipRows   int      `json:"skip_rows,omitempty" jsonschema:"minimum=0" jsonschema_description:"Lines to skip at the beginning."`
	NullValues []string `json:"null_values,omitempty" jsonschema_description:"Fields without quotes that are null in every column, such as NA. An empty field is null in all but string columns anyway; add \"\" to have it so there too."`
}

// JSON says how JSON files are read.
type JSON struct {
	Repeated string `json:"repeated_keys,omitempty" jsonschema:"default=last,enum=last,enum=reject" jsonschema_description:"What to do about a key that occurs twice in an object: last takes its last value, and a warning counts such records; reject sends the record to quarantine."`
}

// Infer says how types are inferred.
type Infer struct {
	Rows       int  `json:"rows,omitempty" jsonschema:"default=10000,minimum=1,maximum=1000000" jsonschema_description:"Records of a file that are looked at, within its first 4 MiB."`
	AllStrings bool `json:"all_strings,omitempty" jsonschema_description:"Infer nothing: every column that is not in columns is a string, nested JSON is JSON text."`
	Widen      bool `json:"widen,omitempty" jsonschema_description:"Let an int64 column become float64 when a later file has such numbers; a table can't always follow. Otherwise these values are rejected."`
}

// S3 says where a server is and who asks.
type S3 struct {
	Endpoint     string     `json:"endpoint,omitempty" jsonschema:"default=s3.amazonaws.com" jsonschema_description:"Host, with a port if need be."`
	Region       string     `json:"region,omitempty" jsonschema_description:"Region of the buckets; asked of the server by default."`
	AccessKey    string     `json:"access_key,omitempty" jsonschema_description:"By default from AWS_ACCESS_KEY_ID; requests are anonymous without one."`
	SecretKey    sdk.Secret `json:"secret_key,omitempty" jsonschema_description:"By default from AWS_SECRET_ACCESS_KEY."`
	SessionToken sdk.Secret `json:"session_token,omitempty" jsonschema_description:"For temporary credentials."`
	Secure       *bool      `json:"secure,omitempty" jsonschema:"default=true" jsonschema_description:"Use TLS."`
}

// Paths is one path or several.
type Paths []string

// JSONSchema describes both forms.
func (Paths) JSONSchema() *jsonschema.Schema {
	one := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "string", MinLength: new(uint64(1))} }
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{one(), {Type: "array", Items: one(), MinItems: new(uint64(1))}}}
}

// UnmarshalJSON reads both forms.
func (p *Paths) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*p = Paths{one}
		return nil
	}
	var several []string
	if err := json.Unmarshal(b, &several); err != nil {
		return fmt.Errorf("path %s: expected text or a list of texts", b)
	}
	*p = several
	return nil
}

func (p Paths) String() string { return strings.Join(p, ", ") }

// or is the value of a setting that may be left out.
func or[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

func (c CSV) header() bool { return c.Header == nil || *c.Header }

func (c CSV) delimiter(format string) byte {
	switch {
	case c.Delimiter != "":
		return c.Delimiter[0]
	case format == formatTSV:
		return '\t'
	}
	return ','
}

func (c CSV) quote() byte {
	switch c.Quote {
	case "":
		return '"'
	case "none":
		return 0
	}
	return c.Quote[0]
}

func (c CSV) comment() byte {
	if c.Comment == "" {
		return 0
	}
	return c.Comment[0]
}
