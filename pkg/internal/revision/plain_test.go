package revision

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// A plain document is one that the schema accepts, whatever its bytes are.
func FuzzPlainIsValid(f *testing.F) {
	text, err := canonical(sampleDocument("autosd-qemu"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for _, edit := range [][2]string{
		{`"1.4.0"`, `""`}, {`"1.4.0"`, `null`}, {`"1.4.0"`, `"-1"`}, {`"1.4.0"`, "\"\u2028\""}, {`"1.4.0"`, `"\u001b[2J"`},
		{`"Manual"`, `"manual"`}, {`"size":900`, `"size":-1`}, {`"size":900`, `"size":1e3`}, {`"size":900`, `"size":0`},
		{`"bootc":true`, `"bootc":1`}, {`"nightly","qa"`, `"qa","qa"`}, {`"team"`, `"-team"`}, {`"team"`, `"team-"`},
		{`"sha256:`, `"sha512:`}, {`"name":"autosd`, `"name":"Autosd`}, {`"buildMode":"bootc"`, `"buildMode":"disk"`},
		{`application/vnd`, `/vnd`}, {`"architecture":"amd64",`, ``}, {`"name":"qemu",`, ``}, {`"type":"Manual"`, ``},
		{`"https://gitlab`, `"https://me:secret@gitlab`}, {`"https://gitlab`, `"gitlab`}, {`"gitlab-ci"`, `"GitLab"`}, {`"ce9a3c1`, `"CE9A3C1`}, {`"main"`, `1`},
		{`"sizeBytes":1073741824`, `"sizeBytes":9007199254740992`}, {`"layerCount":60`, `"layerCount":1000001`},
	} {
		f.Add(strings.Replace(string(text), edit[0], edit[1], 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		document := new(Document)
		if json.Unmarshal([]byte(text), document) != nil || !isPlainDocument(document, []byte(text)) {
			return
		}
		if err := validate(OpPublish, []byte(text)); err != nil {
			t.Errorf("a plain document that the schema refuses: %v\n%s", err, text)
		}
	})
}

func TestWhatWritersMakeIsPlain(t *testing.T) {
	document := sampleDocument("autosd-qemu")
	text, err := canonical(document)
	if err != nil {
		t.Fatal(err)
	}
	if !isPlainDocument(document, text) {
		t.Error("an everyday document is not plain: every list would validate it the slow way")
	}
}
