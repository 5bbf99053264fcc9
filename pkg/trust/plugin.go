package trust

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/bounded"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

const (
	// maxPluginAnswer bounds what a plugin writes, in bytes.
	maxPluginAnswer = 1 << 20
	// pluginGrace is how long a plugin that has ended, or was told to, may leave
	// its standard output to programs of its own.
	pluginGrace = 500 * time.Millisecond
)

var pluginName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// pluginSigner signs through an external program.
type pluginSigner struct {
	path, key string
	public    *PublicKey
}

// openPlugin makes a signer of NAME://KEY: the program sigstore-kms-NAME, found
// by lookPath, signs with the key that it calls KEY. It speaks sigstore's
// protocol for KMS plugins, version 1, so that no cloud's library is linked.
func openPlugin(ctx context.Context, reference string, lookPath func(file string) (string, error)) (messageSigner, error) {
	name, _, found := strings.Cut(reference, "://")
	if !found || !pluginName.MatchString(name) {
		return nil, fmt.Errorf("%w: key %s: want NAME://KEY", entry.ErrInvalid, shownReference(reference))
	}
	program := "sigstore-kms-" + name
	path, err := lookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%w: key %s: there is no program %s in the PATH", entry.ErrInvalid, shownReference(reference), program)
	}
	// The protocol calls the key by what follows the plugin's name.
	s := &pluginSigner{path: path, key: strings.TrimPrefix(reference, name+"://")}
	answer, err := s.call(ctx, nil, &common.MethodArgs{
		MethodName: common.PublicKeyMethodName, PublicKey: &common.PublicKeyArgs{PublicKeyOptions: &common.PublicKeyOptions{}},
	})
	if err != nil {
		return nil, err
	}
	if answer.PublicKey == nil {
		return nil, s.failed(errors.New("its answer has no public key"))
	}
	keys, err := ParsePublicKeys(shownReference(reference), answer.PublicKey.PublicKeyPEM)
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, s.failed(fmt.Errorf("it answers with %d public keys", len(keys)))
	}
	s.public = keys[0]
	return s, nil
}

func (s *pluginSigner) PublicKey() *PublicKey { return s.public }

func (s *pluginSigner) Sign(ctx context.Context, message []byte) ([]byte, error) {
	answer, err := s.call(ctx, message, &common.MethodArgs{
		MethodName: common.SignMessageMethodName, SignMessage: &common.SignMessageArgs{SignOptions: &common.SignOptions{}},
	})
	if err != nil {
		return nil, err
	}
	if answer.SignMessage == nil || len(answer.SignMessage.Signature) == 0 {
		return nil, s.failed(errors.New("its answer has no signature"))
	}
	return answer.SignMessage.Signature, nil
}

// call runs the plugin once: the arguments as JSON on its command line, the
// message on its standard input, the answer as JSON on its standard output.
func (s *pluginSigner) call(ctx context.Context, message []byte, method *common.MethodArgs) (*common.PluginResp, error) {
	init := &common.InitOptions{
		ProtocolVersion: common.ProtocolVersion, KeyResourceID: s.key, HashFunc: crypto.SHA256, RPCOptions: &common.RPCOptions{},
	}
	if deadline, ok := ctx.Deadline(); ok {
		init.CtxDeadline = &deadline
	}
	arguments, err := json.Marshal(&common.PluginArgs{InitOptions: init, MethodArgs: method})
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, s.path, common.ProtocolVersion, string(arguments))
	command.Stdin = bytes.NewReader(message)
	stdout := bounded.New(maxPluginAnswer)
	command.Stdout = stdout
	command.WaitDelay = pluginGrace
	err = command.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("key plugin %s: %w", s.path, context.Cause(ctx))
	}
	var answer common.PluginResp
	if parsed := json.Unmarshal(stdout.Bytes(), &answer); parsed != nil {
		return nil, s.failed(errors.Join(err, errors.New("its answer is not that of a plugin")))
	}
	if answer.ErrorMessage != "" {
		return nil, s.failed(errors.New(signature.Printable(answer.ErrorMessage)))
	}
	return &answer, nil
}

func (s *pluginSigner) failed(err error) error {
	return fmt.Errorf("%w: key plugin %s: %v", entry.ErrUnreachable, s.path, err)
}
