package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var teamPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// New writes a package of one of the points, named as in its path (plugin_load), and a test of it. Files that are there stay.
func New(folder, point, team string, points []Point) ([]string, error) {
	var known []string
	for _, p := range points {
		known = append(known, strings.ReplaceAll(string(p), ".", "_"))
	}
	point = strings.ReplaceAll(point, ".", "_")
	if !slices.Contains(known, point) {
		return nil, fmt.Errorf("point %q: expected one of %s", point, strings.Join(known, ", "))
	}
	if !teamPattern.MatchString(team) {
		return nil, fmt.Errorf("team %q: expected a word of small letters, digits and _", team)
	}
	replace := strings.NewReplacer("POINT", point, "TEAM", team, "ID", strings.ToUpper(team)+"-1")
	path := filepath.Join(folder, point+"_"+team)
	files := map[string]string{path + ".rego": beginning, path + "_test.rego": beginningTest}
	if point == "plugin_load" {
		files = map[string]string{path + ".rego": beginningPlugin, path + "_test.rego": beginningPluginTest}
	}
	names := []string{path + ".rego", path + "_test.rego"}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // policies are for all to read
		return nil, err
	}
	for _, name := range names {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("file %q is there already", name)
		}
	}
	for _, name := range names {
		if err := os.WriteFile(name, []byte(replace.Replace(files[name])), 0o644); err != nil { //nolint:gosec // see above
			return nil, err
		}
	}
	return names, nil
}

const beginning = `# METADATA
# title: What this package is for
# custom:
#   owner: TEAM
#   enforcement: dryrun
package governance.POINT.TEAM

# METADATA
# title: Everything needs a purpose
# labels:
#   id: ID
deny contains {"id": "ID", "msg": "no purpose is given"} if input.purpose == ""
`

const beginningPlugin = `# METADATA
# title: What this package is for
# custom:
#   owner: TEAM
#   enforcement: dryrun
package governance.POINT.TEAM

# METADATA
# title: Revoked binaries
# labels:
#   id: ID
deny contains {"id": "ID", "msg": sprintf("plugin %q was revoked", [input.plugin.name])} if input.plugin.digest in revoked

revoked := {"sha256:0000"}
`

const beginningPluginTest = `package governance.POINT.TEAM_test

import data.governance.POINT.TEAM

test_others_run if count(TEAM.deny) == 0 with input as {"plugin": {"name": "file", "digest": "sha256:1111"}}

test_a_revoked_one_does_not if count(TEAM.deny) == 1 with input as {"plugin": {"name": "file", "digest": "sha256:0000"}}
`

const beginningTest = `package governance.POINT.TEAM_test

import data.governance.POINT.TEAM

test_a_purpose_is_enough if count(TEAM.deny) == 0 with input as {"purpose": "support"}

test_without_a_purpose_it_is_denied if {
	some reason in TEAM.deny with input as {"purpose": ""}
	reason.id == "ID"
}
`
