package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Binary is an executable in a plugin folder.
type Binary struct {
	File string // below its plugin folder
	Path string
	// Kind and Name are what the file's name says by the convention <kind>-<name>; empty if it does not follow it. The manifest
	// decides what the plugin is.
	Kind Kind
	Name string
}

// Problem is something in a plugin folder that a person should look at.
type Problem struct {
	Path string
	Err  error
}

// ConventionalFile is the file name of a plugin that serves one kind.
func ConventionalFile(kind Kind, name string) string { return string(kind) + "-" + name }

// Discover lists the executables in the plugin folders. Of two with one name, that in the earlier folder counts.
func Discover(paths []string) ([]Binary, []Problem) {
	var binaries []Binary
	var problems []Problem
	seen := map[string]string{}
	for _, folder := range paths {
		entries, err := os.ReadDir(folder)
		if err != nil {
			problems = append(problems, Problem{Path: folder, Err: fmt.Errorf("plugin folder: %w", err)})
			continue
		}
		for _, entry := range entries {
			binary, err := inspect(folder, entry.Name())
			if err == nil && binary.File != "" && seen[binary.File] != "" {
				err = fmt.Errorf("hidden by %q, which comes first", seen[binary.File])
			}
			switch {
			case err != nil:
				problems = append(problems, Problem{Path: filepath.Join(folder, entry.Name()), Err: err})
			case binary.File != "":
				seen[binary.File] = binary.Path
				binaries = append(binaries, binary)
			}
		}
	}
	return binaries, problems
}

// inspect returns an empty binary for a file that is none.
func inspect(folder, file string) (Binary, error) {
	if strings.HasPrefix(file, ".") {
		return Binary{}, nil
	}
	binary := Binary{File: file, Path: filepath.Join(folder, file)}
	binary.Kind, binary.Name = byConvention(file)
	info, err := os.Stat(binary.Path)
	if err != nil {
		return Binary{}, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
		return binary, nil
	}
	if info.Mode().IsRegular() && binary.Kind != "" {
		return Binary{}, errors.New("named like a plugin, but not executable")
	}
	return Binary{}, nil
}

func byConvention(file string) (Kind, string) {
	for _, kind := range Kinds() {
		if name, ok := strings.CutPrefix(file, string(kind)+"-"); ok && namePattern.MatchString(name) {
			return kind, name
		}
	}
	return "", ""
}

// Locate returns the path of a file in the first plugin folder that has it; an error that is fs.ErrNotExist if none has.
func Locate(paths []string, file string) (string, error) {
	for _, folder := range paths {
		path := filepath.Join(folder, file)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("plugin binary %q: %w", file, fs.ErrNotExist)
}

// Digest is the sha-256 of a file as lower-case hex.
func Digest(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the plugin folders
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("digest of %q: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
