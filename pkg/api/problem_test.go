package api_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

// A problem is the same after it went over the wire, save its status.
func TestProblemOverTheWire(t *testing.T) {
	sent := &api.Problem{
		Sentence: "x", Code: "conflict", Reason: api.ReasonReadOnly, Name: "a", Image: "r/a:1",
		Details: []schema.Problem{{Pointer: "/name", Reason: "long"}},
	}
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got api.Problem
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*sent, got); diff != "" {
		t.Errorf("%s\n(-sent +got):\n%s", text, diff)
	}
}

// Details say all that a server takes from others: what they do not say is listed
// here.
func TestDetailsSayPublishOptions(t *testing.T) {
	unsaid := map[string]bool{"Name": true, "Author": true, "Sign": true, "SignImage": true, "Unsigned": true, "Init": true, "NotBootc": true /* Bootc says it */, "Wait": true, "Waiting": true}
	options := reflect.TypeFor[catalog.PublishOptions]()
	details := reflect.TypeFor[api.Details]()
	has := func(name string) bool { _, ok := details.FieldByName(name); return ok }
	metadata := reflect.TypeFor[entry.Metadata]()
	for i := range options.NumField() {
		if name := options.Field(i).Name; name != "Metadata" && has(name) == unsaid[name] {
			t.Errorf("PublishOptions.%s: details have it: %t, want %t", name, has(name), !unsaid[name])
		}
	}
	for i := range metadata.NumField() {
		if name := metadata.Field(i).Name; !has(name) {
			t.Errorf("Metadata.%s: details do not have it", name)
		}
	}
}
