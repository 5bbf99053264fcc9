package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// keyPairOptions are those of the verbs that write a key pair.
type keyPairOptions struct {
	*app
	prefix string
	force  bool
}

func (o *keyPairOptions) register(flags *pflag.FlagSet, prefix string) {
	flags.StringVar(&o.prefix, "output-key-prefix", prefix, "what the names of both files begin with")
	flags.BoolVar(&o.force, "force", false, "replace files that exist without a question")
}

// writtenPair is a key pair that was written.
type writtenPair struct {
	Outcome    string `json:"outcome"`
	PrivateKey string `json:"privateKey"` // path
	PublicKey  string `json:"publicKey"`  // path
	Signer     string `json:"signer"`     // how signatures name the key
}

// write makes a key pair and puts it into the two files.
func (o *keyPairOptions) write(ctx context.Context, outcome string, generate func(cosign.PassFunc) (*cosign.KeysBytes, error)) error {
	result := writtenPair{Outcome: outcome, PrivateKey: o.prefix + ".key", PublicKey: o.prefix + ".pub"}
	replace, err := o.mayWrite(ctx, result.PrivateKey, result.PublicKey)
	if err != nil {
		return err
	}
	var refused error // cosign's own errors have no kind
	pair, err := generate(func(bool) (password []byte, err error) {
		password, refused = o.newPassword(ctx)
		return password, refused
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	keys, err := trust.ParsePublicKeys("", pair.PublicBytes)
	if err != nil {
		return err
	}
	result.Signer = keys[0].String()
	err = writeKeyFiles(replace, keyFile{result.PrivateKey, pair.PrivateBytes, 0o600}, keyFile{result.PublicKey, pair.PublicBytes, 0o644})
	if err != nil {
		return replaceHint(err)
	}
	return o.print(result)
}

func (o *keyPairOptions) print(result writtenPair) error {
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, result)
	case "name":
		_, err := fmt.Fprintln(o.system.Out, result.PublicKey)
		return err
	}
	if _, err := fmt.Fprintf(o.system.Out, "%s %s\n", result.Outcome, result.Signer); err != nil {
		return err
	}
	o.done("private key written to %s: keep it, and its password, to yourself", result.PrivateKey)
	o.done("public key written to %s", result.PublicKey)
	o.note("hint: sign with `caib catalog sign NAME --sign-key %s`; `caib catalog verify NAME --key %s` checks it", result.PrivateKey, result.PublicKey)
	return nil
}

// mayWrite reports whether files that exist may be replaced; it is asked before
// anything else, so that nobody types a password in vain.
func (o *keyPairOptions) mayWrite(ctx context.Context, paths ...string) (replace bool, err error) {
	if name := filepath.Base(paths[0]); strings.HasPrefix(name, ".") || strings.HasSuffix(o.prefix, string(filepath.Separator)) {
		return false, fmt.Errorf("%w: --output-key-prefix %q: want the beginning of a file's name", entry.ErrInvalid, o.prefix)
	}
	if info, err := os.Stat(filepath.Dir(paths[0])); err != nil || !info.IsDir() {
		return false, fmt.Errorf("%w: --output-key-prefix %q: there is no directory %s", entry.ErrInvalid, o.prefix, filepath.Dir(paths[0]))
	}
	if o.force {
		return true, nil
	}
	var present []string
	for _, path := range paths {
		switch _, err := os.Lstat(path); {
		case err == nil:
			present = append(present, path)
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	if len(present) == 0 {
		return false, nil
	}
	names := strings.Join(present, " and ")
	if !o.system.InTerminal {
		return false, replaceHint(fmt.Errorf("%w: it exists already: %s", entry.ErrConflict, names))
	}
	yes, err := o.confirm(ctx, fmt.Sprintf("Replace %s? A private key that is replaced is lost.", names))
	if err == nil && !yes {
		err = errors.New("nothing was written: the answer was not yes")
	}
	return yes, err
}

func replaceHint(err error) error {
	if !errors.Is(err, entry.ErrConflict) {
		return err
	}
	return withHint(err, "give another --output-key-prefix, or --force to replace it: a private key that is replaced is lost")
}

// keyFile is a file to write.
type keyFile struct {
	path string
	text []byte
	mode fs.FileMode
}

// writeKeyFiles writes both files or, where one cannot be written, none that was
// not there: each is written whole beside its place, and then put into it, the
// private key last, so that a failure leaves an old one where it is. A file that
// exists without replace is an entry.ErrConflict, however late it came.
func writeKeyFiles(replace bool, private, public keyFile) (err error) {
	files := []keyFile{public, private}
	var undo []string
	defer func() {
		for _, path := range undo {
			_ = os.Remove(path)
		}
	}()
	written := make([]string, len(files))
	for i, file := range files {
		if written[i], err = writeBeside(file.path, file.text, file.mode); err != nil {
			return fmt.Errorf("write %s: %w", file.path, err)
		}
		undo = append(undo, written[i])
	}
	for _, file := range files {
		if replace {
			continue
		}
		claim, err := os.OpenFile(file.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: it exists already: %s", entry.ErrConflict, file.path)
		}
		if err != nil {
			return err
		}
		undo = append(undo, file.path)
		if err := claim.Close(); err != nil {
			return err
		}
	}
	for i, file := range files {
		if err := os.Rename(written[i], file.path); err != nil {
			return err
		}
	}
	undo = nil
	return nil
}

// writeBeside writes a file under another name in the same directory, and
// returns that. Nobody else can read it before it has its mode.
func writeBeside(path string, text []byte, mode fs.FileMode) (written string, err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if closed := temporary.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	if _, err = temporary.Write(text); err == nil {
		err = temporary.Chmod(mode)
	}
	if err == nil {
		err = temporary.Sync()
	}
	return temporary.Name(), err
}
