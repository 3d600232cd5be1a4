package conformance

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// canary is a secret that stands out.
const canary = "qanat-canary-5e1f2a9c-do-not-show"

// secretPlace is a setting that the schema marks as secret.
type secretPlace struct{ path []string }

func secretPlaces(path []string, schema map[string]any) []secretPlace {
	var found []secretPlace
	properties := mapping(schema["properties"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		here, below := append(slices.Clone(path), name), mapping(properties[name])
		if marked, _ := below["x-secret"].(bool); marked {
			found = append(found, secretPlace{path: here})
			continue
		}
		found = append(found, secretPlaces(here, below)...)
	}
	return found
}

func (p secretPlace) get(settings map[string]any) string {
	at := settings
	for _, step := range p.path[:len(p.path)-1] {
		at = mapping(at[step])
	}
	text, _ := at[p.path[len(p.path)-1]].(string)
	return text
}

func (p secretPlace) set(settings map[string]any, value any) {
	at := settings
	for _, step := range p.path[:len(p.path)-1] {
		if mapping(at[step]) == nil {
			at[step] = map[string]any{}
		}
		at = mapping(at[step])
	}
	at[p.path[len(p.path)-1]] = value
}

func (s *suite) secretPlaces() []secretPlace {
	var schema map[string]any
	_ = json.Unmarshal(s.component.GetConfigSchema(), &schema) // config.schema has tried it
	return secretPlaces(nil, schema)
}

// secretsHidden looks back at all that the plugin has said in this run, and provokes errors with secrets that stand out.
func (s *suite) secretsHidden(ctx context.Context, t *trial) error {
	places := s.secretPlaces()
	if len(places) == 0 {
		return skip("secrets in the settings, if there are any, may be shown: mark them with sdk.Secret", "no setting is marked as secret")
	}
	secrets := map[string]string{canary: "a secret of the suite's own"}
	const shortest = 6 // what is shorter turns up by chance
	for _, at := range places {
		if value := at.get(s.settingsObject()); len(value) >= shortest {
			secrets[value] = "the given " + strings.Join(at.path, ".")
		}
	}
	set, err := s.provoke(ctx, places)
	if err != nil {
		return err
	}
	t.note("looked for %d secrets in the output, the errors and the answers of %d processes; %d of %d secret settings were tried with a value of the suite's own",
		len(secrets), len(s.processes), set, len(places))
	for _, p := range s.processes {
		for secret, whose := range secrets {
			if err := heard(p.Output, secret, whose); err != nil {
				return err
			}
		}
	}
	return nil
}

// provoke uses settings with the canary, also where it is of a wrong type, in every way there is. Whether that works is no matter.
func (s *suite) provoke(ctx context.Context, places []secretPlace) (int, error) {
	settings, set := s.settingsObject(), 0
	for _, at := range places {
		before, _ := json.Marshal(settings)
		at.set(settings, canary)
		if faults, err := s.validate(ctx, settings); err != nil || len(faults) > 0 {
			settings = map[string]any{}
			_ = json.Unmarshal(before, &settings)
			continue
		}
		set++
	}
	p, err := s.start(ctx)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	raw, err := json.Marshal(settings)
	if err != nil {
		return 0, err
	}
	_, _ = p.Test(ctx, s.kind(), raw)
	if p.Alive() {
		_ = s.session(ctx, p, raw)
	}
	for _, at := range places {
		wrong := s.settingsObject()
		at.set(wrong, []any{canary})
		if _, err := s.validate(ctx, wrong); err != nil {
			return 0, err
		}
	}
	pause(ctx, settlePause) // the log comes by another way than the answers
	return set, nil
}

// heard finds a secret in what a process has said, also in the forms that it has in JSON and in addresses.
func heard(out *strict.Output, secret, whose string) error {
	quoted := strings.Trim(jsonText(secret), `"`)
	for where, text := range map[string]string{"stdout": out.Printed(), "the log": out.Logged(), "an error or an answer": out.Said()} {
		for _, form := range []string{secret, quoted, url.QueryEscape(secret), url.PathEscape(secret)} {
			at := strings.Index(text, form)
			if at < 0 {
				continue
			}
			begin := max(0, strings.LastIndexByte(text[:at], '\n')+1, at-120)
			end := min(len(text), at+len(form)+40)
			line := strings.ReplaceAll(text[begin:end], form, "***")
			return seen(whose+" is shown nowhere", "it is in %s: %q", where, strings.ToValidUTF8(line, "?"))
		}
	}
	return nil
}
