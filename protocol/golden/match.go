package golden

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// variables are the names in angle brackets and what they stand for in this play.
type variables struct {
	values map[string]string
	// more allows objects members that are not written.
	more bool
}

// newVariables starts a play: who sends and the project are given, so that plays do not meet.
func newVariables() *variables {
	clientA := uuid.NewString()
	return &variables{values: map[string]string{
		"project":           "golden-" + uuid.NewString(),
		"client-A":          clientA,
		"client-A-undashed": strings.ReplaceAll(clientA, "-", ""),
		"client-B":          uuid.NewString(),
	}}
}

var (
	placeholder = regexp.MustCompile(`<([a-z]+(?:-[A-Za-z0-9]+)*)>`)
	repeated    = regexp.MustCompile(`<repeat:(.):([0-9]+)>`)
	signature   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	either      = regexp.MustCompile(`^<([0-9]+)\|([0-9]+)>$`)
)

// fill replaces the names in a value that is sent. A name that nothing has given a value yet gets a fresh UUID.
func (v *variables) fill(value any) any {
	switch value := value.(type) {
	case string:
		return v.fillString(value)
	case []any:
		filled := make([]any, len(value))
		for i, e := range value {
			filled[i] = v.fill(e)
		}
		return filled
	case map[string]any:
		filled := make(map[string]any, len(value))
		for k, e := range value {
			filled[k] = v.fill(e)
		}
		return filled
	}
	return value
}

func (v *variables) fillString(s string) string {
	s = repeated.ReplaceAllStringFunc(s, func(match string) string {
		parts := repeated.FindStringSubmatch(match)
		n, _ := strconv.Atoi(parts[2]) // the pattern has digits only
		return strings.Repeat(parts[1], n)
	})
	return placeholder.ReplaceAllStringFunc(s, func(match string) string {
		name := match[1 : len(match)-1]
		if _, ok := v.values[name]; !ok {
			v.values[name] = uuid.NewString()
		}
		return v.values[name]
	})
}

// match compares a value with what is written and gives names their values as they first appear.
func (v *variables) match(want, got any, path string) error {
	switch want := want.(type) {
	case string:
		return v.matchString(want, got, path)
	case map[string]any:
		return v.matchObject(want, got, path)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Errorf("%s is %s, want %d elements", path, compact(got), len(want))
		}
		for i := range want {
			if err := v.match(want[i], list[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if want != got {
		return fmt.Errorf("%s is %s, want %s", path, compact(got), compact(want))
	}
	return nil
}

func (v *variables) matchObject(want map[string]any, got any, path string) error {
	object, ok := got.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is %s, want an object", path, compact(got))
	}
	wantKeys, gotKeys := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(object))
	if v.more {
		gotKeys = slices.DeleteFunc(gotKeys, func(k string) bool { _, written := want[k]; return !written })
	}
	if !slices.Equal(wantKeys, gotKeys) {
		return fmt.Errorf("%s has the keys %q, want %q", path, gotKeys, wantKeys)
	}
	for _, k := range wantKeys {
		if err := v.match(want[k], object[k], path+"."+k); err != nil {
			return err
		}
	}
	return nil
}

// maxAge is what "<age>" may be: a play takes seconds.
const maxAge = 60

func (v *variables) matchString(want string, got any, path string) error {
	switch want {
	case "<any>":
		return nil
	case "<age>":
		if n, ok := got.(json.Number); ok {
			if age, err := n.Int64(); err == nil && 0 <= age && age <= maxAge {
				return nil
			}
		}
		return fmt.Errorf("%s is %s, want an age", path, compact(got))
	case "<seconds>":
		if n, ok := got.(json.Number); ok {
			if seconds, err := n.Float64(); err == nil && 0 <= seconds && seconds <= maxAge {
				return nil
			}
		}
		return fmt.Errorf("%s is %s, want seconds", path, compact(got))
	}
	if numbers := either.FindStringSubmatch(want); numbers != nil {
		if n, ok := got.(json.Number); ok && slices.Contains(numbers[1:], n.String()) {
			return nil
		}
		return fmt.Errorf("%s is %s, want %s", path, compact(got), want)
	}
	text, ok := got.(string)
	if !ok {
		return fmt.Errorf("%s is %s, want %q", path, compact(got), want)
	}
	if want == "<time>" {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("%s is not a time: %w", path, err)
		}
		return nil
	}
	if strings.HasPrefix(want, "/") && strings.Contains(want, "?") {
		return v.matchHref(want, text, path)
	}
	return v.matchPattern(want, text, path)
}

// matchHref compares a path with a query, whose parameters may come in any order.
func (v *variables) matchHref(want, got, path string) error {
	wantPath, wantQuery, _ := strings.Cut(want, "?")
	gotPath, gotQuery, _ := strings.Cut(got, "?")
	if err := v.matchPattern(wantPath, gotPath, path); err != nil {
		return err
	}
	wanted, given := strings.Split(wantQuery, "&"), strings.Split(gotQuery, "&")
	slices.Sort(wanted)
	slices.Sort(given)
	if len(wanted) != len(given) {
		return fmt.Errorf("%s is %q, want %q", path, got, want)
	}
	for i := range wanted {
		if err := v.matchPattern(wanted[i], given[i], path); err != nil {
			return err
		}
	}
	return nil
}

// matchPattern compares a text that may hold names. What a new name stands for is whatever fits.
func (v *variables) matchPattern(want, got, path string) error {
	if !placeholder.MatchString(want) { // also spares the longest texts the compiler of expressions
		if got != want {
			return fmt.Errorf("%s is %q, want %q", path, got, want)
		}
		return nil
	}
	pattern, fresh := v.pattern(want)
	match := pattern.FindStringSubmatch(got)
	if match == nil {
		return fmt.Errorf("%s is %q, want %q", path, got, want)
	}
	for i, name := range fresh {
		if err := v.bind(name, match[i+1]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// pattern turns a text with names into an expression with a group for each name that has no value yet.
func (v *variables) pattern(want string) (pattern *regexp.Regexp, fresh []string) {
	var b strings.Builder
	b.WriteString(`^`)
	from := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		b.WriteString(regexp.QuoteMeta(want[from:m[0]]))
		name := want[m[2]:m[3]]
		if value, ok := v.values[name]; ok {
			b.WriteString(regexp.QuoteMeta(value))
		} else {
			b.WriteString(`(\S+)`)
			fresh = append(fresh, name)
		}
		from = m[1]
	}
	b.WriteString(regexp.QuoteMeta(want[from:]))
	b.WriteString(`$`)
	return regexp.MustCompile(b.String()), fresh
}

// bind gives a name its value. Two messages, or two subscriptions, never have one id.
func (v *variables) bind(name, value string) error {
	kind, _, _ := strings.Cut(name, "-")
	if kind == "message" || kind == "subscription" {
		for other, taken := range v.values {
			if taken == value && strings.HasPrefix(other, kind+"-") {
				return fmt.Errorf("<%s> has the id of <%s>: %s", name, other, value)
			}
		}
	}
	if kind == "signature" && !signature.MatchString(value) {
		return fmt.Errorf("<%s> is %q, want 64 hexadecimal digits", name, value)
	}
	v.values[name] = value
	return nil
}
