package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	Path        string   `json:"path" jsonschema:"required,minLength=1" jsonschema_description:"Folder for the files, on a local file system; created if missing. Relative paths begin at the project folder."`
	Format      string   `json:"format,omitempty" jsonschema:"enum=parquet,enum=jsonl,enum=csv,default=parquet" jsonschema_description:"Format of the files."`
	Compression string   `json:"compression,omitempty" jsonschema:"enum=none,enum=gzip,enum=zstd" jsonschema_description:"Compression; zstd for parquet and none for the others if absent."`
	FileSize    sdk.Size `json:"file_size,omitempty" jsonschema_description:"A unit's rows go on in another file when one has reached about this size; 256MiB if absent."`
	Name        string   `json:"name,omitempty" jsonschema:"default={stream}/{flow}-{seq}" jsonschema_description:"Name of the files without ending, from {stream}, {flow}, {seq} and {part}."`
	CSV         CSV      `json:"csv,omitzero" jsonschema_description:"Only for the format csv."`
}

// CSV says how a CSV file looks.
type CSV struct {
	Delimiter string `json:"delimiter,omitempty" jsonschema:"maxLength=1" jsonschema_description:"Character between values; a comma if absent."`
	Header    *bool  `json:"header,omitempty" jsonschema_description:"Whether each file begins with the columns' names; true if absent."`
	Null      string `json:"null,omitempty" jsonschema_description:"Text of a null; an empty value without quotes if absent."`
}

const defaultFileSize = 256 << 20

// Validate lists every fault of the settings.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, path, format string, args ...any) {
		if !ok {
			faults = append(faults, sdk.ConfigError(path, format, args...))
		}
	}
	check(c.Path != "", "/path", "is required")
	check(slices.Contains([]string{"parquet", "jsonl", "csv"}, c.Format), "/format", "%q is not a format, allowed are parquet, jsonl, csv", c.Format)
	check(slices.Contains([]string{"", "none", "gzip", "zstd"}, c.Compression), "/compression", "%q is not known, allowed are none, gzip, zstd", c.Compression)
	check(c.FileSize >= 0, "/file_size", "%d is negative", c.FileSize)
	check(c.Format == "csv" || c.CSV == CSV{}, "/csv", "is only for the format csv, the format is %q", c.Format)
	check(len(c.CSV.Delimiter) <= 1 && !strings.ContainsAny(c.CSV.Delimiter, "\"\r\n"), "/csv/delimiter", "%q: expected one ASCII character that is no quote and no line end", c.CSV.Delimiter)
	check(!strings.ContainsAny(c.CSV.Null, "\"\r\n"+c.CSV.delimiter()), "/csv/null", "%q: expected text without delimiters, quotes and line ends", c.CSV.Null)
	if err := checkTemplate(c.Name); err != nil {
		faults = append(faults, sdk.ConfigError("/name", "%w", err))
	}
	return errors.Join(faults...)
}

func (c Config) compression() string {
	switch {
	case c.Compression != "":
		return c.Compression
	case c.Format == "parquet":
		return "zstd"
	}
	return "none"
}

func (c Config) fileSize() int64 {
	if c.FileSize == 0 {
		return defaultFileSize
	}
	return int64(c.FileSize)
}

// ending is what follows the name of a file.
func (c Config) ending() string {
	if c.Format == "parquet" {
		return ".parquet"
	}
	return "." + c.Format + map[string]string{"none": "", "gzip": ".gz", "zstd": ".zst"}[c.compression()]
}

func (c CSV) delimiter() string {
	if c.Delimiter == "" {
		return ","
	}
	return c.Delimiter
}

func (c CSV) header() bool { return c.Header == nil || *c.Header }
