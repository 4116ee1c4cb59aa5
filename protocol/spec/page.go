package spec

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"sync"

	"github.com/nusku-messaging/nusku/protocol"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Page returns both documents as one page for people: every action with its fields, its answers and the HTTP requests
// that do the same. It needs no scripts, and for its looks the stylesheet /examples/style.css. The bytes are shared: do
// not change them.
func Page() ([]byte, error) { return page() }

var page = sync.OnceValues(func() ([]byte, error) {
	routes, err := pageRoutes()
	if err != nil {
		return nil, err
	}
	data := pageData{Shapes: pageShapes(componentsOf(true))}
	for _, tag := range tags {
		data.Groups = append(data.Groups, pageGroup{Name: tag, ID: strings.ReplaceAll(strings.ToLower(tag), " ", "-")})
	}
	for _, a := range protocol.Actions() {
		e, ok := entryOf(a.Name)
		if !ok {
			return nil, errNoEntry(a.Name)
		}
		for i := range data.Groups {
			if data.Groups[i].Name == e.tag {
				data.Groups[i].Actions = append(data.Groups[i].Actions, describe(a, &e, routes[a.Name]))
			}
		}
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("make the page of the API: %w", err)
	}
	return out.Bytes(), nil
})

// What the page's template is given.
type (
	pageData struct {
		Groups []pageGroup
		Shapes []pageShape
	}
	pageGroup struct {
		Name, ID string
		Actions  []pageAction
	}
	pageAction struct {
		Name, Summary string
		Admin         bool
		Fields        []pageField
		Answers       []pageShape
		Routes        []string
	}
	pageField struct {
		Name, Kind, Text string
		Required         bool
	}
	pageShape struct{ Name, Schema string }
)

func describe(a *protocol.Action, e *entry, routes []string) pageAction {
	p := pageAction{Name: a.Name, Summary: e.summary, Admin: a.Admin, Routes: routes}
	for _, f := range (a.Required | a.Optional).Fields() {
		s := fieldSchema(a.Name, f)
		text, _ := s["description"].(string)
		if text == "" {
			text = "See " + strings.TrimPrefix(fmt.Sprint(s["$ref"]), "#/components/schemas/") + "."
		}
		required := a.Required.Has(f.Bit) && (f.Bit != protocol.FieldQueueName || !a.TakesTopic()) || contains(requiredFields[a.Name], f.Name)
		p.Fields = append(p.Fields, pageField{Name: f.Name, Kind: kindText(f, s), Text: text, Required: required})
	}
	for _, status := range statuses(e.frame) {
		p.Answers = append(p.Answers, pageShape{fmt.Sprint(status), shown(e.frame[status])})
	}
	return p
}

// kindText is a field's type with its range and its default.
func kindText(f protocol.FieldInfo, s schema) string {
	kind := f.Type
	if f.Items != "" {
		kind = "array of " + f.Items + "s"
	}
	if least, ok := s["minimum"]; ok {
		kind += fmt.Sprintf(", %v to %v", least, s["maximum"])
	}
	if byDefault, ok := s["default"]; ok {
		kind += fmt.Sprintf(", default %v", byDefault)
	}
	return kind
}

func pageShapes(all members) []pageShape {
	var list []pageShape
	for _, component := range sorted(all) {
		list = append(list, pageShape{component, shown(all[component])})
	}
	return list
}

// shown is a schema for people to read.
func shown(s schema) string {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil { // it holds nothing that JSON cannot express
		return err.Error()
	}
	return string(text)
}

// pageRoutes are the HTTP requests by the actions that they ask for, as the OpenAPI document has them.
func pageRoutes() (map[string][]string, error) {
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	routes := map[string][]string{}
	for _, path := range sorted(document.Paths) {
		for _, method := range sorted(document.Paths[path]) {
			var operation struct {
				Actions []string `json:"x-actions"`
			}
			if method == "parameters" {
				continue
			}
			if err := json.Unmarshal(document.Paths[path][method], &operation); err != nil {
				return nil, fmt.Errorf("read %s %s of the OpenAPI document: %w", method, path, err)
			}
			for _, action := range operation.Actions {
				routes[action] = append(routes[action], strings.ToUpper(method)+" "+path)
			}
		}
	}
	return routes, nil
}
