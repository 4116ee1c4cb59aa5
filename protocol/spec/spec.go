package spec

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:generate go run ../../cmd/internal/spec

var (
	//go:embed openapi.json
	openAPI []byte
	//go:embed asyncapi.json
	asyncAPI []byte
)

// OpenAPI returns the OpenAPI document. The bytes are shared: do not change them.
func OpenAPI() []byte { return openAPI }

// AsyncAPI returns the AsyncAPI document. The bytes are shared: do not change them.
func AsyncAPI() []byte { return asyncAPI }

// version is that of the API, which is Zaqar's.
const version = "2"

// encode writes a document as it is committed: indented, keys in order, the same for the same document.
func encode(document schema) ([]byte, error) {
	text, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return append(text, '\n'), nil
}
