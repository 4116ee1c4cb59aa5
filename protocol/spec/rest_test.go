package spec_test

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/nusku-messaging/nusku/protocol/golden"
	"github.com/nusku-messaging/nusku/protocol/spec"
)

// TestRecordedAnswers holds the OpenAPI document to the recorded exchanges: every answer has the schema of its operation
// and status, and every body that was taken has the schema of bodies.
func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	s := schemasOf(t, spec.OpenAPI())
	var exchanges []golden.Exchange
	for _, name := range []string{"zaqar-rest-v2", "nusku-rest"} {
		session, err := golden.LoadExchanges("../testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		exchanges = append(exchanges, session...)
	}
	checked := 0
	for _, e := range exchanges {
		target, err := url.Parse(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		pattern := s.pattern(target.Path)
		operation := lookup(s.document, "paths", pattern, strings.ToLower(e.Method))
		if operation == nil {
			if e.Expect.Status < 400 && e.Method != "HEAD" && e.Method != "OPTIONS" {
				t.Errorf("%s: no operation for %s %s", e.Name, e.Method, target.Path)
			}
			continue
		}
		s.checkAnswer(&e, pattern, operation)
		s.checkBody(&e, pattern, operation)
		s.checkParameters(&e, target.Query(), operation)
		checked++
	}
	if checked < 200 {
		t.Errorf("only %d exchanges were checked", checked)
	}
}

// pattern finds the path of the document that a path matches; "" for none. Fixed parts win over variables.
func (s *schemas) pattern(path string) (best string) {
	parts := strings.Split(path, "/")
	variables := len(parts) + 1
	for pattern := range lookup(s.document, "paths").(map[string]any) {
		of := strings.Split(pattern, "/")
		if len(of) != len(parts) {
			continue
		}
		free := 0
		for i := range of {
			if strings.HasPrefix(of[i], "{") {
				free++
			} else if of[i] != parts[i] {
				free = len(parts) + 1
				break
			}
		}
		if free < variables {
			best, variables = pattern, free
		}
	}
	return best
}

func (s *schemas) checkAnswer(e *golden.Exchange, pattern string, operation any) {
	s.t.Helper()
	code := strconv.Itoa(e.Expect.Status)
	method := strings.ToLower(e.Method)
	response := lookup(operation, "responses", code)
	switch {
	case e.Expect.More: // not all of it is written there
	case e.Expect.Status >= 400 && len(e.Expect.Body) > 0:
		s.check(e, e.Expect.Body, "components", "schemas", "Error")
	case e.Expect.Status >= 400:
	case response == nil:
		s.t.Errorf("%s: %s %s is not said to answer %s", e.Name, e.Method, pattern, code)
	case len(e.Expect.Body) == 0:
		if lookup(response, "content") != nil {
			s.t.Errorf("%s: %s %s is said to have a body", e.Name, e.Method, pattern)
		}
	default:
		content, _ := lookup(response, "content").(map[string]any)
		for mediaType := range content {
			s.check(e, e.Expect.Body, "paths", pattern, method, "responses", code, "content", mediaType, "schema")
		}
		if len(content) == 0 {
			s.t.Errorf("%s: %s %s is said to have no body", e.Name, e.Method, pattern)
		}
	}
}

// checkBody checks the body of a request that was taken.
func (s *schemas) checkBody(e *golden.Exchange, pattern string, operation any) {
	s.t.Helper()
	content, _ := lookup(operation, "requestBody", "content").(map[string]any)
	if e.Expect.Status >= 300 || len(e.Body) == 0 {
		return
	}
	if len(content) == 0 {
		s.t.Errorf("%s: %s %s is said to take no body", e.Name, e.Method, pattern)
	}
	for mediaType := range content {
		s.check(e, e.Body, "paths", pattern, strings.ToLower(e.Method), "requestBody", "content", mediaType, "schema")
	}
}

func (s *schemas) check(e *golden.Exchange, body json.RawMessage, pointer ...string) {
	s.t.Helper()
	value, whole := decoded(s.t, body)
	if !whole {
		return
	}
	if err := s.at(pointer...).Validate(value); err != nil {
		s.t.Errorf("%s: %v", e.Name, err)
	}
}
