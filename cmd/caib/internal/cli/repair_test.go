package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdDamage is `[!] damage DIRECTORY NAME`: the manifest of the newest revision of an
// entry is gone, with ! altered, and its tag is still listed; $DAMAGED is that tag.
func cmdDamage(ts *testscript.TestScript, altered bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: damage DIRECTORY NAME")
	}
	repository, _, err := openRepository("oci:" + ts.MkAbs(args[0]))
	ts.Check(err)
	listed, err := repository.Tags(context.Background())
	ts.Check(err)
	tags := tagsOf(args[1], listed)
	if len(tags) == 0 {
		ts.Fatalf("%s has no revision of %s: %q", args[0], args[1], listed)
	}
	newest := tags[len(tags)-1]
	descriptor, err := repository.Resolve(context.Background(), newest)
	ts.Check(err)
	blob := filepath.Join(ts.MkAbs(args[0]), "blobs", "sha256", descriptor.Digest.Encoded())
	if altered {
		text, err := os.ReadFile(blob)
		ts.Check(err)
		ts.Check(os.WriteFile(blob, bytes.Replace(text, []byte("created"), []byte("CREATED"), 1), 0o600))
	} else {
		ts.Check(os.Remove(blob))
	}
	ts.Setenv("DAMAGED", newest)
}
