package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// recoveryWorld is what the commands of the topic on recovery are run in.
const recoveryWorld = `
registry REGISTRY
registry MIRROR
registry SEALED
keypair team
envfile policy.in policy.yaml
push bootc $REGISTRY/os/autosd:1 version=1
push bootc $REGISTRY/os/autosd:2 version=2
env CAIB_CATALOG=$REGISTRY/team/catalog
caib catalog publish $REGISTRY/os/autosd:1 --version 1 --sign-key $WORK/team.key
`

const recoveryFiles = `
-- policy.in --
version: 1
default:
  keys: [{file: team.pub}]
`

// The commands of `caib help recovery` work, in the order in which they stand there.
func TestRecoveryRuns(t *testing.T) {
	hosts := strings.NewReplacer("registry.example.com", "$REGISTRY", "mirror.example.org", "$MIRROR", "sealed.example.org", "$SEALED",
		"catalog.tar.zst", "$WORK/catalog.tar.zst", "more.tar.zst", "$WORK/more.tar.zst", "policy.yaml", "$WORK/policy.yaml")
	lines := regexp.MustCompile(`(?m)^ +\$ (caib .*)$`).FindAllStringSubmatch(document(t, "recovery"), -1)
	if len(lines) < 12 {
		t.Fatalf("the topic has %d commands", len(lines))
	}
	script := recoveryWorld
	for _, line := range lines {
		if strings.Contains(line[1], "--since") { // something is new by then
			script += "caib catalog publish $REGISTRY/os/autosd:2 --name autosd --version 2 --sign-key $WORK/team.key\n"
		}
		script += hosts.Replace(line[1]) + "\n"
	}
	script += "caib catalog list --catalog $SEALED/ex/catalog --no-headers\nstdout '^autosd +2 '\n" + recoveryFiles
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "recovery.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	params := scripts()
	params.Dir = dir
	testscript.Run(t, params)
}
