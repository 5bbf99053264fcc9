package revision

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// rejected checks that Unpack refuses, for the reason that the test is about.
func rejected(t *testing.T, tag Tag, manifest []byte, reason string) {
	t.Helper()
	revision, err := Unpack(tag, manifest)
	if revision != nil || !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %v, %v; want ErrMalformed with %q", revision, err, reason)
	}
}

func TestUnpackRejectsOtherTags(t *testing.T) {
	packed := mustPack(t, sampleDocument("autosd"))
	for _, tt := range []struct {
		name   string
		edit   func(*Tag)
		reason string
	}{
		{"hash of another manifest", func(g *Tag) { g.Hash = sampleHash }, "the manifest's digest is"},
		{"copied under another name", func(g *Tag) { g.Name = "other" }, "the document is that of autosd"},
		{"copied to a later time", func(g *Tag) { g.Millis++ }, "the document is that of autosd"},
		{"a publication as a removal", func(g *Tag) { g.Op = OpRemove }, "does not remove"},
		{"a publication as a snapshot", func(g *Tag) { g.Op = OpSnapshot }, "does not snapshot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tag := packed.Tag
			tt.edit(&tag)
			rejected(t, tag, packed.Manifest, tt.reason)
		})
	}
}

func TestUnpackRejectsCopiedRemovals(t *testing.T) {
	packed, err := PackRemoval(sampleRemoval("autosd"), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range []func(*Tag){
		func(g *Tag) { g.Name = "other" }, func(g *Tag) { g.Millis-- }, func(g *Tag) { g.Op = OpPublish },
	} {
		tag := packed.Tag
		edit(&tag)
		rejected(t, tag, packed.Manifest, "")
	}
}

// A tag may be right about a manifest that is no revision.
func TestUnpackRejectsManifests(t *testing.T) {
	packed := mustPack(t, sampleDocument("autosd"))
	layer := func(o map[string]any) map[string]any { return at(o, "layers", 0).(map[string]any) }
	data := func(text []byte) string { return base64.StdEncoding.EncodeToString(text) }
	for _, tt := range []struct {
		name   string
		edit   func(map[string]any)
		reason string
	}{
		{"foreign artifact type", func(o map[string]any) { o["artifactType"] = "application/spdx+json" }, "artifact type"},
		{"no artifact type", func(o map[string]any) { delete(o, "artifactType") }, "artifact type"},
		{"a removal's artifact type", func(o map[string]any) { o["artifactType"] = MediaTypeRemoval }, "does not publish"},
		{"an index", func(o map[string]any) { o["mediaType"] = ocispec.MediaTypeImageIndex }, "media type"},
		{"another schema version", func(o map[string]any) { o["schemaVersion"] = 1 }, "media type"},
		{"no layers", func(o map[string]any) { delete(o, "layers") }, "exactly one layer"},
		{"two layers", func(o map[string]any) { o["layers"] = []any{layer(o), layer(o)} }, "exactly one layer"},
		{"another layer type", func(o map[string]any) { layer(o)["mediaType"] = MediaTypeRemoval }, "exactly one layer"},
		{"no data", func(o map[string]any) { delete(layer(o), "data") }, "not the one that its descriptor names"},
		{"data that is not base64", func(o map[string]any) { layer(o)["data"] = "%%" }, "manifest"},
		{"altered data", func(o map[string]any) {
			layer(o)["data"] = data([]byte(strings.Replace(string(packed.Blobs[1].Content), "1.4.0", "6.6.6", 1)))
		}, "not the one that its descriptor names"},
		{"another digest", func(o map[string]any) { layer(o)["digest"] = digest.FromString("x").String() }, "not the one that its descriptor names"},
		{"another size", func(o map[string]any) { layer(o)["size"] = 1 }, "not the one that its descriptor names"},
		{"a key in another case", func(o map[string]any) { o["LAYERS"] = o["layers"]; delete(o, "layers") }, "exactly one layer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			manifest := altered(t, packed.Manifest, tt.edit)
			rejected(t, NewTag("autosd", sampleTime, OpPublish, digest.FromBytes(manifest)), manifest, tt.reason)
		})
	}
}

func TestUnpackRejectsRawManifests(t *testing.T) {
	text := string(mustPack(t, sampleDocument("autosd")).Manifest)
	for _, tt := range []struct{ name, manifest, reason string }{
		{"empty", "", "manifest"},
		{"an HTML page", "<html></html>", "manifest"},
		{"null", "null", "media type"},
		{"cut short", text[:len(text)/2], "manifest"},
		{"trailing data", text + "{}", "manifest"},
		{"a duplicate key", strings.Replace(text, "{", `{"artifactType":"application/vnd.caib.catalog.removal.v1+json",`, 1), "duplicate"},
		{"a duplicate annotation", strings.Replace(text, `"annotations":{`, `"annotations":{"org.opencontainers.image.title":"x",`, 1), "duplicate"},
		{"broken UTF-8", strings.Replace(text, "nightly", "n\xff", 1) + "\xff", "manifest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			manifest := []byte(tt.manifest)
			rejected(t, NewTag("autosd", sampleTime, OpPublish, digest.FromBytes(manifest)), manifest, tt.reason)
		})
	}
}

// Every document here shows one thing to a careless parser and another to the
// schema, or is none at all.
func TestUnpackRejectsDocuments(t *testing.T) {
	text := string(mustPack(t, sampleDocument("autosd")).Blobs[1].Content)
	swap := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the document has no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, tt := range []struct{ name, document, reason string }{
		{"not JSON", "<html>", "not JSON"},
		{"empty", "", "not JSON"},
		{"an array", "[]", "/"},
		{"null", "null", "/"},
		{"trailing data", text + "{}", "not JSON"},
		{"a duplicate name", swap(`"name":"autosd"`, `"name":"evil","name":"autosd"`), "duplicate"},
		{"a duplicate digest", swap(`"mediaType"`, `"digest":"x","mediaType"`), "duplicate"},
		{"a duplicate in an unknown field", swap(`{`, `{"future":{"a":1,"a":2},`), "duplicate"},
		{"a name in upper case only", swap(`"name":"autosd"`, `"NAME":"autosd"`), `missing properties: ["name"]`},
		{"a digest in upper case only", swap(`"digest":`, `"Digest":`), `missing properties: ["digest"]`},
		{"broken UTF-8", swap("AutoSD", "Auto\xffSD"), "not JSON"},
		{"half a surrogate pair", swap("AutoSD", `Auto\ud800SD`), "not JSON"},
		{"a control character", swap("AutoSD", `Auto\u001b[2JSD`), "/description"},
		{"a missing field", swap(`"publishedAt":"2026-03-01T10:00:00.000Z"`, `"x":1`), "publishedAt"},
		{"a comma in a time", swap(`"createdAt":"2026-03-01T10:00:00.`, `"createdAt":"2026-03-01T10:00:00,`), "/registry/createdAt"},
		{"a day that does not exist", swap(`"createdAt":"2026-03-01`, `"createdAt":"2026-02-30`), "timestamp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tag, manifest := sealed(t, OpPublish, "autosd", sampleTime, []byte(tt.document))
			rejected(t, tag, manifest, tt.reason)
		})
	}
}

// A key that differs from a field's only in case is an unknown field: it must
// not reach the document past the schema.
func TestKeysInAnotherCaseAreUnknown(t *testing.T) {
	want := sampleDocument("autosd")
	smuggled := strings.NewReplacer(
		`"description":`, `"DESCRIPTION":"\u001b[2J","Name":"\u001b[2J","PublishedBy":"\u202e","Tags":["\u0007"],"description":`,
		`"mediaType":`, `"Reference":"\u001b]8;;","Size":-1,"mediaType":`,
	).Replace(string(mustPack(t, want).Blobs[1].Content))
	tag, manifest := sealed(t, OpPublish, "autosd", sampleTime, []byte(smuggled))
	revision, err := Unpack(tag, manifest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, revision.Document); diff != "" {
		t.Error(diff)
	}
}

// Readers hash bytes and never depend on the canonical form.
func TestUnpackReadsAnyEncoding(t *testing.T) {
	want := sampleDocument("autosd")
	text := string(mustPack(t, want).Blobs[1].Content)
	indented, err := json.MarshalIndent(json.RawMessage(text), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, document string }{
		{"indented", string(indented)},
		{"escaped letters", strings.NewReplacer("AutoSD", `\u0041utoSD`, `"publishedBy"`, `"\u0070ublishedBy"`).Replace(text)},
		{"escaped digits of a time", strings.ReplaceAll(text, `"2026-`, `"\u0032026-`)},
		{"escaped slashes", strings.ReplaceAll(text, "/", `\/`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tag, manifest := sealed(t, OpPublish, "autosd", sampleTime, []byte(tt.document))
			revision, err := Unpack(tag, manifest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&Revision{Tag: tag, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)), Document: want}, revision); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewerFormats(t *testing.T) {
	const own = `{"org.opencontainers.image.title":"autosd","org.opencontainers.image.created":"1970-01-01T00:00:00.007Z"}`
	for _, tt := range []struct {
		name, artifactType, annotations string
		op                              Op
		ok                              bool
	}{
		{"a later version", "application/vnd.caib.catalog.entry.v2+json", own, OpPublish, true},
		{"another syntax", "application/vnd.caib.catalog.entry.v1+cbor", own, OpPublish, true},
		{"a later removal", "application/vnd.caib.catalog.removal.v17+json", own, OpRemove, true},
		{"a removal as a publication", "application/vnd.caib.catalog.removal.v2+json", own, OpPublish, false},
		{"a publication as a removal", "application/vnd.caib.catalog.entry.v2+json", own, OpRemove, false},
		{"a stranger", "application/vnd.caib.catalog.entries.v2+json", own, OpPublish, false},
		{"no annotations", "application/vnd.caib.catalog.entry.v2+json", `{}`, OpPublish, false},
		{"copied under another name", "application/vnd.caib.catalog.entry.v2+json", strings.Replace(own, "autosd", "other", 1), OpPublish, false},
		{"copied to another time", "application/vnd.caib.catalog.entry.v2+json", strings.Replace(own, "007Z", "006Z", 1), OpPublish, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"` + tt.artifactType + `","layers":[],"annotations":` + tt.annotations + `}`)
			tag := NewTag("autosd", entry.NewTime(time.UnixMilli(7)), tt.op, digest.FromBytes(manifest))
			if !tt.ok {
				rejected(t, tag, manifest, "")
				return
			}
			revision, err := Unpack(tag, manifest)
			want := &Revision{Tag: tag, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)), Later: tt.artifactType}
			if diff := cmp.Diff(want, revision); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}
