package server

import (
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/schema"
)

// description is schema/openapi.yaml as JSON, made when it is first asked for.
var description = sync.OnceValues(func() (*body, error) {
	text, err := schema.Files.ReadFile(schema.OpenAPI)
	if err != nil {
		return nil, err
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	body, err := json.Marshal(document, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return newBody(body), nil
})

// openAPI answers GET /openapi.json.
func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	a, err := description()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.send(w, r, a)
}
