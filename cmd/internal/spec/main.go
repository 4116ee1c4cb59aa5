// Command spec writes the documents of protocol/spec. It is run by go generate.
package main

import (
	"fmt"
	"os"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/protocol/spec"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "spec:", err)
		os.Exit(1)
	}
}

// write writes both documents into the working directory, which go generate sets to the package's.
func write() error {
	for name, generate := range documents {
		text, err := generate()
		if err != nil {
			return fmt.Errorf("generate %s: %w", name, err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil { //nolint:gosec // a file of the repository
			return fmt.Errorf("write document: %w", err)
		}
	}
	return nil
}

// documents are the committed documents and how they are made.
var documents = map[string]func() ([]byte, error){
	"asyncapi.json": spec.GenerateAsyncAPI,
	"openapi.json":  func() ([]byte, error) { return spec.GenerateOpenAPI(routes()) },
}

// routes are the gateway's routes as the documents see them.
func routes() []spec.Route {
	var list []spec.Route
	for _, r := range gateway.Routes() {
		row := spec.Route{Method: r.Method, Pattern: r.Pattern, Action: r.Action, Status: r.Status, MediaType: r.MediaType}
		if r.Action == "get_home_doc" {
			row.AnswerType = "application/json-home"
		}
		if r.Stream {
			row.AnswerType = spec.EventStream
		}
		list = append(list, row)
	}
	return list
}
