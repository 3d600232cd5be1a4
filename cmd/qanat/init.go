package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// starter are the files that init writes; NAME stands for the project's name.
var starter = []struct{ path, text string }{
	{"qanat.yaml", `kind: project
name: NAME
# Everything is embedded by default and keeps its state in .qanat/. For servers of your own:
# nats:    {url: "nats://broker:4222", credentials: secrets/nats.creds}
# objects: {endpoint: "minio:9000", access_key: "${env:S3_ACCESS_KEY}", secret_key: "${env:S3_SECRET_KEY}"}
plugins:
  path: ["${env:QANAT_PLUGINS:-bin/plugins}"]
`},
	{"pipelines/first.yaml", `# A pipeline that needs nothing from outside: made-up rows, landed and summed up. Try:
#   qanat plan first
#   qanat run first
#   qanat query "from curated.NAME.by_region"
kind: pipeline
name: first
source:
  plugin: generator
  config: {stream: events, seed: 1, rows: 100000}
landing:
  dataset: landing.NAME.{stream}
flows:
- name: by_region
  from: [landing.NAME.events]
  transforms:
  - plugin: sql
    config:
      collect: true
      query: "select region, count(*) as events, sum(amount) as amount from input group by region order by region"
  to: curated.NAME.by_region
  write: {mode: overwrite}
`},
	{".gitignore", ".qanat/\n"},
}

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a project file and a first pipeline to start from",
		Args:  atMostOne(),
		RunE: func(_ *cobra.Command, args []string) error {
			folder := a.dir
			if len(args) == 1 {
				folder = args[0]
			}
			return a.init(folder)
		},
	}
}

// init writes what is not there yet, and never changes a file.
func (a *app) init(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return usage(err)
	}
	name := projectName(folder)
	for _, file := range starter {
		path := filepath.Join(folder, filepath.FromSlash(file.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return environment(err)
		}
		written, err := writeNew(path, strings.ReplaceAll(file.text, "NAME", name))
		if err != nil {
			return environment(err)
		}
		word := "kept  "
		if written {
			word = "wrote "
		}
		if _, err := fmt.Fprintln(a.out, word, path); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(a.out, "next: qanat plan first, then qanat run first")
	return err
}

func writeNew(path, text string) (bool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the folder is the user's choice
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(text)
	return true, errors.Join(err, f.Close())
}

var notInNames = regexp.MustCompile(`[^a-z0-9_]+`)

// projectName makes a name of the folder's that SQL takes without quotes.
func projectName(folder string) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(filepath.Base(folder)), "_"), "_0123456789")
	if name == "" {
		return "project"
	}
	return name
}
