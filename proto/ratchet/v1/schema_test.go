package ratchetv1_test

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// released is the schema of the last release; `make release-schema` replaces it.
const released = "testdata/released.binpb"

// TestSchemaOnlyGrows: what the last release could write, this one reads, in binary and in JSON.
func TestSchemaOnlyGrows(t *testing.T) {
	t.Parallel()
	old := load(t)
	now := pb.File_ratchet_v1_event_proto
	for i := range old.Messages().Len() {
		message := old.Messages().Get(i)
		today := now.Messages().ByName(message.Name())
		if today == nil {
			t.Errorf("message %s is gone", message.Name())
			continue
		}
		holdMessage(t, message, today)
	}
	for i := range old.Enums().Len() {
		enum := old.Enums().Get(i)
		today := now.Enums().ByName(enum.Name())
		if today == nil {
			t.Errorf("enum %s is gone", enum.Name())
			continue
		}
		holdEnum(t, enum, today)
	}
}

func holdMessage(t *testing.T, old, now protoreflect.MessageDescriptor) {
	t.Helper()
	for i := range old.Fields().Len() {
		was := old.Fields().Get(i)
		is := now.Fields().ByNumber(was.Number())
		if is == nil {
			if !now.ReservedRanges().Has(was.Number()) || !now.ReservedNames().Has(was.Name()) {
				t.Errorf("%s: number and name gone without being reserved", was.FullName())
			}
			continue
		}
		if is.Name() != was.Name() || is.Kind() != was.Kind() || is.Cardinality() != was.Cardinality() || typeName(is) != typeName(was) {
			t.Errorf("%s = %d was %s %s %s, is %s %s %s %s", was.FullName(), was.Number(),
				was.Cardinality(), was.Kind(), typeName(was), is.Name(), is.Cardinality(), is.Kind(), typeName(is))
		}
	}
}

func typeName(f protoreflect.FieldDescriptor) protoreflect.FullName {
	switch {
	case f.Message() != nil:
		return f.Message().FullName()
	case f.Enum() != nil:
		return f.Enum().FullName()
	}
	return ""
}

func holdEnum(t *testing.T, old, now protoreflect.EnumDescriptor) {
	t.Helper()
	for i := range old.Values().Len() {
		was := old.Values().Get(i)
		if is := now.Values().ByNumber(was.Number()); is == nil || is.Name() != was.Name() {
			t.Errorf("%s = %d is gone or renamed", was.FullName(), was.Number())
		}
	}
}

// TestEnumsBeginUnspecified: a value that a reader does not know must not look like a real one.
func TestEnumsBeginUnspecified(t *testing.T) {
	t.Parallel()
	enums := pb.File_ratchet_v1_event_proto.Enums()
	for i := range enums.Len() {
		zero := enums.Get(i).Values().ByNumber(0)
		if zero == nil || !strings.HasSuffix(string(zero.Name()), "_UNSPECIFIED") {
			t.Errorf("%s: 0 is %v", enums.Get(i).Name(), zero)
		}
	}
}

func load(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	data, err := os.ReadFile(released)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	file, err := files.FindFileByPath("ratchet/v1/event.proto")
	if err != nil {
		t.Fatal(err)
	}
	return file
}
