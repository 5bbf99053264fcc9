package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	// maxHelperAnswer bounds what a credential helper may print, in bytes.
	maxHelperAnswer = 1 << 20
	// helperGrace is how long a helper that was told to end may keep its pipes.
	helperGrace = 2 * time.Second
	// hubServer is what Docker Hub is called where credentials are stored.
	hubServer = "https://index.docker.io/v1/"
)

var helperName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// askHelper runs docker-credential-NAME (docker's credential helper protocol).
// What it prints is never passed on, on whichever stream: it may hold the
// secret. oras-go has a client for helpers too, which lets them write to this
// process's standard error, and quotes them in errors.
func askHelper(ctx context.Context, name, host, config string) (Account, error) {
	program := "docker-credential-" + name
	failed := func(reason string) (Account, error) {
		return Account{}, fmt.Errorf("%w: credential helper %s for %s (%s): %s", entry.ErrUnauthorized, program, host, config, reason)
	}
	if !helperName.MatchString(name) {
		return Account{}, fmt.Errorf("%w: credentials file %s: %q names no credential helper", entry.ErrInvalid, config, name)
	}
	server := host
	if host == "docker.io" {
		server = hubServer
	}
	answer := &bounded{most: maxHelperAnswer}
	command := exec.CommandContext(ctx, program, "get")
	command.Stdin, command.Stdout, command.WaitDelay = strings.NewReader(server), answer, helperGrace
	err := command.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Account{}, ctx.Err()
	case errors.As(err, &ended) && strings.TrimSpace(answer.String()) == "credentials not found in native keychain":
		return Account{}, nil
	case errors.As(err, &ended):
		return failed(ended.ProcessState.String())
	case errors.Is(err, exec.ErrNotFound):
		return failed("it is not installed, or not in PATH")
	case err != nil:
		return failed("it cannot be run")
	}
	var said struct{ Username, Secret string }
	if err := json.Unmarshal(answer.Bytes(), &said); err != nil {
		return failed("its answer is not that of a credential helper")
	}
	account := Account{Username: said.Username, Password: said.Secret, Source: fmt.Sprintf("credential helper %s (%s)", program, config)}
	if said.Username == "<token>" {
		account.Username, account.Password, account.IdentityToken = "", "", said.Secret
	}
	return account, nil
}

// bounded is a buffer that drops what is beyond its bound.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.most-b.Len())])
	return len(p), nil
}
