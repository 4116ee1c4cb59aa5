package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// Route is a row of a gateway's route table.
type Route struct {
	// Method and Pattern are the HTTP method and the path, with variables in braces.
	Method, Pattern string
	// Action is the action that is asked for; "" for the document of versions.
	Action string
	// Status is the status of the answer when all is well.
	Status int
	// MediaType is that of the request's body; "" is application/json.
	MediaType string
	// AnswerType is that of the answer's body; "" is application/json.
	AnswerType string
}

func errNoEntry(action string) error { return fmt.Errorf("nothing is said of the action %s", action) }

// GenerateOpenAPI makes the OpenAPI document from the route table. Rows of one method and path become one operation,
// named by the first of them that is asked for without a parameter of its own.
func GenerateOpenAPI(routes []Route) ([]byte, error) {
	paths := schema{}
	for i := range routes {
		row := &routes[i]
		if row.Method == "HEAD" { // it goes wherever GET does
			continue
		}
		item, ok := paths[row.Pattern].(schema)
		if !ok {
			item = schema{"parameters": pathParameters(row)}
			paths[row.Pattern] = item
		}
		method := strings.ToLower(row.Method)
		made, err := restOperation(row, item[method])
		if err != nil {
			return nil, err
		}
		item[method] = made
	}
	about := info("Nusku over HTTP", restText)
	list := about["tags"]
	delete(about, "tags")
	return encode(schema{
		"openapi": "3.1.0", "info": about, "tags": list, "paths": paths,
		"components": schema{"schemas": componentsOf(false), "parameters": headerParameters, "responses": restResponses},
	})
}

const restText = "What frames do over WebSocket, as resources. Addresses are paths; a list that is not empty has a next link."

// restResponses are the answers that every operation may have.
var restResponses = schema{"Error": schema{
	"description": "What is wrong.", "content": content("application/json", ref("Error")),
}}

func content(mediaType string, s schema) schema { return schema{mediaType: schema{"schema": s}} }

// pathParameters describe the variables of a path.
func pathParameters(row *Route) []schema {
	list := []schema{}
	for part := range strings.SplitSeq(row.Pattern, "/") {
		if variable, ok := strings.CutPrefix(part, "{"); ok {
			variable = strings.TrimSuffix(variable, "}")
			s, known := fieldSchemas[variable]
			if !known || variable == "claim_id" {
				s = text("Its id.")
			}
			list = append(list, schema{"name": variable, "in": "path", "required": true, "schema": s})
		}
	}
	return list
}

// restOperation describes what a row does, besides what an earlier row for the same method and path does.
func restOperation(row *Route, earlier any) (schema, error) {
	if row.Action == "" {
		return schema{
			"operationId": "versions", "summary": "Get the versions of the API", "tags": []string{tagService},
			"responses": schema{strconv.Itoa(row.Status): schema{
				"description": "The versions.", "content": content("application/json", ref("Versions"))}},
		}, nil
	}
	a := protocol.ActionByName(row.Action)
	e, ok := entryOf(row.Action)
	if a == nil || !ok {
		return nil, errNoEntry(row.Action)
	}
	form, _ := a.RESTForm()
	o := schema{
		"operationId": operationID(row), "summary": e.summary, "tags": []string{e.tag}, "x-actions": []string{a.Name},
		"parameters": restParameters(a, form, row), "responses": restAnswers(row, &e),
	}
	if a.Admin {
		o["description"] = adminText
	}
	if form.Body != 0 && row.Method != "GET" {
		o["requestBody"] = requestBody(a, form, row)
	}
	if before, ok := earlier.(schema); ok {
		return merged(before, o), nil
	}
	return o, nil
}

// operationID is the action, marked where a topic has what a queue has, and where a method does more than another.
func operationID(row *Route) string {
	id := row.Action
	if strings.Contains(row.Pattern, "{topic_name}") && !strings.HasPrefix(id, "topic_") {
		id = "topic_" + id
	}
	if row.Action == "subscription_secret" && row.Method == "POST" {
		id += "_rotate"
	}
	if row.AnswerType == "text/event-stream" {
		id += "_stream"
	}
	return id
}

func restParameters(a *protocol.Action, form protocol.RESTForm, row *Route) []schema {
	if row.AnswerType == EventStream {
		return append(slices.Clone(streamParameters), signatureHeaders()...)
	}
	list := headersOf(a, row)
	for _, f := range form.Query.Fields() {
		list = append(list, queryParameter(a.Name, f))
	}
	return list
}

// queryParameter describes a parameter. A filter is all the parameters that have no other meaning; lists are joined by
// commas.
func queryParameter(action string, f protocol.FieldInfo) schema {
	p := schema{"name": f.Parameter(), "in": "query", "schema": fieldSchema(action, f)}
	if f.Type == "array" || f.Type == "object" {
		p["style"], p["explode"] = "form", f.Type == "object"
	}
	if f.Type == "object" { // any other parameter may be one
		p["schema"] = schema{"type": "object", "description": "Keep those with these attributes.", "additionalProperties": schema{"type": "string"}}
	}
	return p
}

func requestBody(a *protocol.Action, form protocol.RESTForm, row *Route) schema {
	mediaType := row.MediaType
	if mediaType == "" {
		mediaType = "application/json"
	}
	var s schema
	if form.Whole {
		s = fieldSchema(a.Name, form.Body.Fields()[0])
	} else {
		s = bodySchema(a.Name, form.Body, form.Body&a.Required)
	}
	switch a.Name {
	case "subscription_create":
		s["required"] = []string{"subscriber"}
	case "subscription_update": // null stands for what is to stay
		properties := s["properties"].(members)
		for name, p := range properties {
			properties[name] = p.orNull()
		}
	}
	return schema{"required": !form.Optional, "content": content(mediaType, s)}
}

// restAnswers describe the responses. Those with a Location say so.
func restAnswers(row *Route, e *entry) schema {
	mediaType := row.AnswerType
	if mediaType == "" {
		mediaType = "application/json"
	}
	all := schema{"default": schema{"$ref": "#/components/responses/Error"}}
	for _, status := range statuses(e.rest) {
		answer := schema{"description": answerTexts[status]}
		if body := e.rest[status]; body != nil {
			answer["content"] = content(mediaType, body)
		}
		if status == 201 {
			answer["headers"] = schema{"Location": schema{"schema": text("Where it is.")}}
		}
		all[strconv.Itoa(status)] = answer
	}
	return all
}

var answerTexts = map[int]string{200: "What was asked for.", 201: "It was made.", 204: "It is done; there is nothing to show."}

// merged is one operation for two rows: it takes the parameters and gives the answers of both.
func merged(before, o schema) schema {
	known := map[string]bool{}
	list := []schema{}
	for _, of := range []schema{o, before} {
		for _, p := range of["parameters"].([]schema) {
			key := fmt.Sprint(p["name"], p["$ref"])
			if !known[key] {
				known[key] = true
				list = append(list, p)
			}
		}
	}
	o["parameters"] = list
	if actions := before["x-actions"].([]string); actions[0] != o["x-actions"].([]string)[0] {
		o["x-actions"] = append(o["x-actions"].([]string), actions...)
	}
	responses := o["responses"].(schema)
	for status, response := range before["responses"].(schema) {
		if other, both := responses[status].(schema); both {
			response = either(other, response.(schema))
		}
		responses[status] = response
	}
	if first, second := before["summary"], o["summary"]; first != second {
		o["summary"] = fmt.Sprintf("%s. With other parameters: %s", second, lower(first.(string)))
	}
	return o
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// either is a response whose body is one of two.
func either(a, b schema) schema {
	first, ok := bodyOf(a)
	second, also := bodyOf(b)
	if !ok || !also || fmt.Sprint(first) == fmt.Sprint(second) {
		return a
	}
	return a.with("content", content("application/json", anyOf(first, second)))
}

func bodyOf(response schema) (schema, bool) {
	media, ok := response["content"].(schema)
	if !ok {
		return nil, false
	}
	for _, m := range media {
		return m.(schema)["schema"].(schema), true
	}
	return nil, false
}
