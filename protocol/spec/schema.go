package spec

import "maps"

// schema is a JSON schema, or any other part of a document.
type schema map[string]any

// The schemas of plain values.

func text(description string) schema    { return described("string", description) }
func number(description string) schema  { return described("integer", description) }
func boolean(description string) schema { return described("boolean", description) }

func described(kind, description string) schema {
	s := schema{"type": kind}
	if description != "" {
		s["description"] = description
	}
	return s
}

// seconds is a number of seconds that is not negative.
func seconds(description string) schema { return number(description).with("minimum", 0) }

// with returns the schema with one more keyword.
func (s schema) with(keyword string, value any) schema {
	out := maps.Clone(s)
	out[keyword] = value
	return out
}

// orNull allows null, too.
func (s schema) orNull() schema { return s.with("type", []any{s["type"], "null"}) }

func array(items schema) schema { return schema{"type": "array", "items": items} }

// constant is one value.
func constant(value any) schema { return schema{"const": value} }

// anything is the schema of any value.
func anything(description string) schema { return schema{"description": description} }

// openObject is an object with any members.
func openObject(description string) schema { return described("object", description) }

// members are the members of an object.
type members map[string]schema

// object is an object with these members and no others; those that are not optional are required.
func object(m members, optional ...string) schema {
	s := schema{"type": "object", "properties": m, "additionalProperties": false}
	if required := m.without(optional); len(required) > 0 {
		s["required"] = required
	}
	return s
}

// without lists the names of the members but for some.
func (m members) without(some []string) []string {
	var names []string
	for _, name := range sorted(m) {
		if !contains(some, name) {
			names = append(names, name)
		}
	}
	return names
}

// plus returns the members with more.
func (m members) plus(more members) members {
	out := maps.Clone(m)
	maps.Copy(out, more)
	return out
}

// ref points to a component.
func ref(component string) schema { return schema{"$ref": "#/components/schemas/" + component} }

// oneOf and anyOf are what they are in JSON schema.
func anyOf(some ...schema) schema {
	if len(some) == 1 {
		return some[0]
	}
	return schema{"anyOf": some}
}
