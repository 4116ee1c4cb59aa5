package spec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/nusku-messaging/nusku/protocol/spec"
)

// parsed is a document as plain values.
func parsed(t *testing.T, document []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// schemas compiles schemas of a document by their JSON pointers. It is for one goroutine.
type schemas struct {
	t        *testing.T
	document any
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

func schemasOf(t *testing.T, document []byte) *schemas {
	t.Helper()
	value := parsed(t, document)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("document.json", value); err != nil {
		t.Fatal(err)
	}
	return &schemas{t, value, compiler, map[string]*jsonschema.Schema{}}
}

// at compiles the schema at a pointer, given in its parts.
func (s *schemas) at(parts ...string) *jsonschema.Schema {
	s.t.Helper()
	pointer := ""
	for _, part := range parts {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D").Replace(part)
	}
	if found := s.compiled[pointer]; found != nil {
		return found
	}
	compiled, err := s.compiler.Compile("document.json#" + pointer)
	if err != nil {
		s.t.Fatal(err)
	}
	s.compiled[pointer] = compiled
	return compiled
}

// lookup returns the value at a path of keys, nil if there is none.
func lookup(value any, keys ...string) any {
	for _, key := range keys {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(spec.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// Every reference leads somewhere, and every component is referred to.
func TestReferences(t *testing.T) {
	t.Parallel()
	for name, document := range map[string][]byte{"openapi.json": spec.OpenAPI(), "asyncapi.json": spec.AsyncAPI()} {
		value := parsed(t, document)
		used := map[string]bool{}
		references(value, used)
		for pointer := range used {
			if lookup(value, strings.Split(strings.TrimPrefix(pointer, "#/"), "/")...) == nil {
				t.Errorf("%s: %s leads nowhere", name, pointer)
			}
		}
		for kind, components := range lookup(value, "components").(map[string]any) {
			for component := range components.(map[string]any) {
				if !used["#/components/"+kind+"/"+component] {
					t.Errorf("%s: nobody needs %s %s", name, kind, component)
				}
			}
		}
	}
}

func references(value any, into map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		if pointer, ok := v["$ref"].(string); ok {
			into[pointer] = true
		}
		for _, member := range v {
			references(member, into)
		}
	case []any:
		for _, element := range v {
			references(element, into)
		}
	}
}

// The names in angle brackets of the golden files stand for values; where a schema wants more than a text, these do.
var stand = strings.NewReplacer(`"<age>"`, "0", `"<300|360>"`, "300", `<time>`, "2026-01-31T12:00:00Z", `"secrets": "<any>"`, `"secrets": []`, `"seconds": "<any>"`, `"seconds": 0.5`, `"seconds": "<seconds>"`, `"seconds": 0.5`)

// decoded reads a value of a golden file; whole is false for one that may be anything.
func decoded(t *testing.T, golden json.RawMessage) (value any, whole bool) {
	t.Helper()
	filled := []byte(stand.Replace(string(golden)))
	return parsed(t, filled), !bytes.Contains(filled, []byte(`"body": "<any>"`)) && !bytes.Equal(filled, []byte(`"<any>"`))
}
