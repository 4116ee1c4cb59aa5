package protocol

import "slices"

// FieldInfo describes a typed field of the bodies, for documents.
type FieldInfo struct {
	Name string
	Bit  FieldSet
	// Type is what JSON schema calls its type; Items that of the elements of an array, "" where they may be anything.
	Type, Items string
}

// Fields lists the fields of the set in the order of the table.
func (s FieldSet) Fields() []FieldInfo {
	var list []FieldInfo
	for i := range fieldRows {
		if row := &fieldRows[i]; row.bit&s != 0 {
			list = append(list, row.info())
		}
	}
	return list
}

func (row *fieldRow) info() FieldInfo {
	info := FieldInfo{Name: row.name, Bit: row.bit, Type: "string"}
	switch row.typ {
	case typeText, typeTopic:
	case typeTexts, typeDeliveries:
		info.Type, info.Items = "array", "string"
	case typePatch, typeMessages:
		info.Type, info.Items = "array", "object"
	case typeNumber:
		info.Type = "integer"
	case typeFlag:
		info.Type = "boolean"
	case typeObject, typeFilter:
		info.Type = "object"
	}
	return info
}

// TakesTopic says whether a topic_name may stand in the place of the queue_name.
func (a *Action) TakesTopic() bool { return a.Optional.Has(FieldTopicName) }

// Bodyless says whether a frame of the action may leave its body out.
func (a *Action) Bodyless() bool { return a.bodyless }

// RESTForm says where REST looks for the fields of an action, besides the path. It is for documents.
type RESTForm struct {
	// Query are the fields that are parameters.
	Query FieldSet
	// Body are the fields of a body that is an object of fields, and the field that a body as a whole is; 0 when there is
	// no body. Whole tells them apart.
	Body  FieldSet
	Whole bool
	// Optional says that the body may be left out.
	Optional bool
}

// RESTForm returns the action's form; ok is false for an action that REST does not have.
func (a *Action) RESTForm() (form RESTForm, ok bool) {
	if a.rest == nil {
		return RESTForm{}, false
	}
	form = RESTForm{Query: a.rest.query, Body: a.rest.fields, Optional: a.rest.optional}
	switch a.rest.body {
	case bodyIsMetadata:
		form.Body, form.Whole = FieldMetadata, true
	case bodyIsPatch:
		form.Body, form.Whole = FieldPatch, true
	case bodyIsNone, bodyIsFields:
	}
	return form, true
}

// Parameter is what the query of REST calls the field.
func (f FieldInfo) Parameter() string { return parameterName(f.Bit.row()) }

// MetadataDefaults returns the reserved attributes of metadata that have a default, in the order in which REST shows
// them.
func MetadataDefaults() []string { return slices.Clone(reserved) }
