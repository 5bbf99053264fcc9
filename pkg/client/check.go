package client

import (
	"errors"
	"fmt"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// checkAnswer reports what no index server would answer: JSON that decodes is not
// enough, because one without any member of ours does.
func checkAnswer(answer any) error {
	switch a := answer.(type) {
	case *api.List:
		if a.Items == nil || a.Total < len(a.Items) || a.Continue != "" && len(a.Items) == 0 {
			return errors.New("it is no list of entries")
		}
		return checkEach(a.Items, checkItem)
	case *entry.Item:
		return checkItem(a)
	case *api.Publication:
		if a.Outcome == "" {
			return errors.New("it does not say what was done")
		}
		return checkItem(&a.Item)
	case *api.History:
		if a.Items == nil || a.Total != len(a.Items) {
			return errors.New("it is no history")
		}
		return checkEach(a.Items, checkEvent)
	case *api.Changes:
		if a.Items == nil || a.State == "" {
			return errors.New("it does not say what moved")
		}
		return checkEach(a.Items, checkMove)
	case *api.Removal:
		return checkEvent(&a.Event)
	case *api.Verification:
		if a.Message == "" || a.Verification == nil && a.Failure == nil {
			return errors.New("it does not say what was found")
		}
		return nil
	case *api.Readiness:
		if a.Catalogs == nil {
			return errors.New("it does not say what it serves")
		}
		return nil
	}
	return fmt.Errorf("a %T is not asked for", answer)
}

func checkEach[T any](all []T, check func(*T) error) error {
	for i := range all {
		if err := check(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkItem(item *entry.Item) error {
	err := entry.CheckName(item.Name)
	switch {
	case err != nil:
		return errors.New("an entry has no name")
	case item.Digest.Validate() != nil, item.RegistryURL == "":
		return fmt.Errorf("entry %s has no image", item.Name)
	}
	if _, ok := entry.ParsePhase(string(item.Phase)); !ok {
		return fmt.Errorf("entry %s is in no phase", item.Name)
	}
	return nil
}

func checkEvent(event *entry.Event) error {
	if entry.CheckName(event.Name) != nil || event.Revision.Validate() != nil || event.At.IsZero() {
		return errors.New("a revision has no name, digest or time")
	}
	return nil
}

func checkMove(event *entry.Event) error {
	if tag, ok := revision.ParseTag(event.Tag); !ok || tag.Name != event.Name {
		return errors.New("a revision is not of the name that it moves")
	}
	return checkEvent(event)
}
