package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdLocate writes by hand, as any client of a registry can, where the images below a
// prefix can be had as well.
func cmdLocate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: locate REPOSITORY PREFIX PLACE")
	}
	repository, _, err := openRepository(args[0])
	ts.Check(err)
	line := []byte(fmt.Sprintf("{\"prefix\":%q,\"at\":[%q]}\n", args[1], args[2]))
	at := worldOf(ts).clock
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	layer := ocispec.Descriptor{MediaType: "application/vnd.caib.catalog.locations.v1+jsonl", Digest: digest.FromBytes(line), Size: int64(len(line)), Data: line}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/vnd.caib.catalog.locations.v1",
		"config": config, "layers": []ocispec.Descriptor{layer}, "annotations": map[string]string{ocispec.AnnotationCreated: stamp(at)},
	})
	ts.Check(err)
	layer.Data = nil
	ts.Check(repository.PushBlob(context.Background(), config, ocispec.DescriptorEmptyJSON.Data))
	ts.Check(repository.PushBlob(context.Background(), layer, line))
	described := describe(manifest)
	ts.Check(repository.PushManifest(context.Background(), described, manifest, tagOf("_locations", at, 'l', described.Digest)))
	ts.Setenv("LOCATIONS", described.Digest.String())
	for _, f := range worldOf(ts).registries {
		f.takeWrites() // the test's own are no finding
	}
}
