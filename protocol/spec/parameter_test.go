package spec_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/protocol/golden"
	"github.com/nusku-messaging/nusku/protocol/spec"
)

// parameters are those of an operation by place and name.
func (s *schemas) parameters(operation any) map[string]map[string]any {
	s.t.Helper()
	found := map[string]map[string]any{}
	list, _ := lookup(operation, "parameters").([]any)
	for _, p := range list {
		parameter := p.(map[string]any)
		if pointer, ok := parameter["$ref"].(string); ok {
			parameter = lookup(s.document, strings.Split(strings.TrimPrefix(pointer, "#/"), "/")...).(map[string]any)
		}
		name := parameter["name"].(string)
		if parameter["in"] == "header" {
			name = http.CanonicalHeaderKey(name)
		}
		found[parameter["in"].(string)+" "+name] = parameter
	}
	return found
}

// general are headers that no operation lists: those of HTTP itself.
var general = []string{"Accept", "Content-Type", "Host", "Origin"}

// checkParameters checks what a request that was taken has in its query and its headers: the operation lists them, and
// their values have its schemas.
func (s *schemas) checkParameters(e *golden.Exchange, query url.Values, operation any) {
	s.t.Helper()
	if e.Expect.Status >= 300 {
		return
	}
	parameters := s.parameters(operation)
	filtered := false
	for _, p := range parameters {
		filtered = filtered || lookup(p, "schema", "type") == "object"
	}
	for name, values := range query {
		p := parameters["query "+name]
		if p == nil && !filtered {
			s.t.Errorf("%s: %s %s is not said to read %s", e.Name, e.Method, e.Path, name)
		}
		if last := values[len(values)-1]; p != nil && !fits(lookup(p, "schema"), last) {
			s.t.Errorf("%s: %s %s: %s=%s is not as it is said to be", e.Name, e.Method, e.Path, name, last)
		}
	}
	for name, value := range e.Headers {
		if value != nil && !slices.Contains(general, http.CanonicalHeaderKey(name)) && parameters["header "+http.CanonicalHeaderKey(name)] == nil {
			s.t.Errorf("%s: %s %s is not said to read the header %s", e.Name, e.Method, e.Path, name)
		}
	}
}

// fits says whether the text of a parameter can be of its schema's type, and in its range.
func fits(schema any, text string) bool {
	switch lookup(schema, "type") {
	case "integer":
		v, err := strconv.ParseInt(text, 10, 64)
		return err == nil && within(schema, v)
	case "boolean":
		return slices.Contains([]string{"true", "false", "True", "False", "1", "0"}, text)
	}
	return true
}

func within(schema any, v int64) bool {
	for bound, wrong := range map[string]func(limit int64) bool{
		"minimum": func(limit int64) bool { return v < limit }, "maximum": func(limit int64) bool { return v > limit },
	} {
		if n, ok := lookup(schema, bound).(interface{ String() string }); ok {
			limit, err := strconv.ParseInt(n.String(), 10, 64)
			if err != nil || wrong(limit) {
				return false
			}
		}
	}
	return true
}

// TestEveryParameterIsRead asks each operation's actions with every parameter that there could be: those that they read
// are those that the document lists.
func TestEveryParameterIsRead(t *testing.T) {
	t.Parallel()
	s := schemasOf(t, spec.OpenAPI())
	for pattern, item := range lookup(s.document, "paths").(map[string]any) {
		for method, operation := range item.(map[string]any) {
			actions, _ := lookup(operation, "x-actions").([]any)
			if method == "parameters" || strings.HasSuffix(pattern, "/stream") { // a stream's are not its action's
				continue
			}
			parameters := s.parameters(operation)
			for _, name := range candidates() {
				read := false
				for _, action := range actions {
					read = read || reads(protocol.ActionByName(action.(string)), name)
				}
				listed := parameters["query "+name] != nil
				if read != listed {
					t.Errorf("%s %s: the parameter %s is read: %v, listed: %v", method, pattern, name, read, listed)
				}
			}
			for place := range parameters {
				if name, query := strings.CutPrefix(place, "query "); query && !slices.Contains(candidates(), name) {
					t.Errorf("%s %s: the parameter %s is none that there could be", method, pattern, name)
				}
			}
		}
	}
}

// candidates are the names that parameters may have.
func candidates() []string {
	names := []string{"ids"}
	for _, a := range protocol.Actions() {
		for _, f := range (a.Required | a.Optional).Fields() {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reads says whether an action takes something from a parameter of that name, rather than from one of another.
func reads(a *protocol.Action, name string) bool {
	var with, without protocol.Request
	lim := protocol.DefaultLimits()
	in := protocol.RESTInput{ClientID: uuid.NewString(), HasClientID: true, ProjectID: "p", HasProjectID: true}
	in.Query = url.Values{"nobody_reads_this": {"1"}}
	_ = protocol.DecodeREST(a, &in, &lim, &without) // what is missing does not matter here
	in.Query = url.Values{name: {"1"}}
	_ = protocol.DecodeREST(a, &in, &lim, &with)
	if name == "filter" { // that one stands for all that are not read
		return with.Fields.MetadataFilter != nil || without.Fields.MetadataFilter != nil
	}
	return with.Fields.Set != without.Fields.Set
}
