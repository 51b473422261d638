package config

import (
	"fmt"
	"regexp"
	"strings"
)

func (v *check) deploy(r Run) {
	d := r.Deploy
	v.oneOf("deploy.deployer", d.Deployer, DeployerStatic, DeployerVLLMLoRA, DeployerCommand, DeployerKubernetes, DeployerOpenAI)
	v.oneOf("deploy.rendering", d.Rendering, RenderingFewShot, RenderingBare)
	v.wants("deploy.timeout", d.Timeout >= 0, "a time greater than 0")
	v.wants("deploy.ready", d.Ready == "" || strings.HasPrefix(d.Ready, "/"), "a path on the server, such as /health")
	if len(r.Targets) == 0 {
		return
	}
	for i, t := range r.Targets {
		if (t.Driver == DriverOpenAI) != (d.Deployer == DeployerOpenAI) {
			v.add("deploy.deployer", fmt.Sprintf("%s does not serve what the driver %s of targets[%d] makes", d.Deployer, t.Driver, i),
				"the driver openai and the deployer openai go together")
		}
	}
	if d.Deployer == DeployerStatic {
		v.given("deploy.model", d.Model, "name the served model, with {checkpoint}, {target}, {generation}")
	}
	v.pod("deploy.kubernetes", d.Kubernetes, d.Deployer == DeployerKubernetes)
	if d.Owns() {
		v.server(d)
		return
	}
	v.wants("deploy.endpoint", httpURL(d.Endpoint), "the base URL of the server that serves checkpoints")
	v.noPassword("deploy.endpoint", d.Endpoint, keyByFile)
}

// server checks what a deployer with servers of its own starts.
func (v *check) server(d Deploy) {
	if d.Endpoint != "" {
		v.add("deploy.endpoint", fmt.Sprintf("the deployer %s makes its own endpoint", d.Deployer), "remove it")
	}
	if len(d.Command) == 0 {
		if d.Deployer == DeployerCommand {
			v.add("deploy.command", "missing", "name the program and its arguments, with {path}, {host}, {port}, {model}")
		}
		return
	}
	all := strings.Join(d.Command, " ")
	v.wants("deploy.command", strings.Contains(all, "{path}"), "the checkpoint's folder, {path}, among the arguments")
	v.wants("deploy.command", strings.Contains(all, "{port}"), "the port to listen on, {port}, among the arguments")
}

// hosted checks what only the driver openai reads.
func (v *check) hosted(path string, t Target) {
	if t.Driver != DriverOpenAI {
		v.wants(path+".endpoint", t.Endpoint == "", "nothing: only the driver openai has one")
		return
	}
	v.wants(path+".command", len(t.Command) == 0, "nothing: the API trains")
	v.wants(path+".endpoint", httpURL(t.HostedAt()), "the base URL of the fine-tuning API, with /v1")
	v.noPassword(path+".endpoint", t.Endpoint, keyByFile)
}

// pod checks a pod, which is there if and only if it is asked for.
func (v *check) pod(path string, p *Pod, asked bool) {
	if p == nil {
		if asked {
			v.add(path, "missing", "name the image, gpus, cpu and memory of its pod")
		}
		return
	}
	if !asked {
		v.add(path, "nobody reads it", "say kubernetes where you say how it is run, or remove it")
	}
	v.given(path+".image", p.Image, "name the image with the program in it")
	v.atLeast(path+".gpus", p.GPUs, 0)
	v.atLeast(path+".replicas", p.Replicas, 0)
	v.wants(path+".cpu", p.CPU == "" || quantity.MatchString(p.CPU), "a number of processors, such as 8 or 500m")
	v.wants(path+".memory", p.Memory == "" || quantity.MatchString(p.Memory), "an amount, such as 64Gi")
	if p.Runtime == "" && strings.HasPrefix(path, "targets") {
		v.wants(path+".replicas", p.Replicas <= 1, "1: a Job is one pod; several nodes need runtime, a TrainJob")
	}
	v.wants(path+".secrets", p.Runtime == "" || len(p.Secrets) == 0, "none: a TrainJob takes none, put them into its runtime")
	if strings.HasPrefix(path, "deploy") {
		v.wants(path+".runtime", p.Runtime == "", "nothing: it is for training")
	}
}

// quantity is a number as Kubernetes writes amounts.
var quantity = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([EPTGMk]i?|m|Ki)?$`)
