package config

import "strings"

func (v *check) deploy(r Run) {
	d := r.Deploy
	v.oneOf("deploy.deployer", d.Deployer, DeployerStatic, DeployerVLLMLoRA, DeployerCommand)
	v.oneOf("deploy.rendering", d.Rendering, RenderingFewShot, RenderingBare)
	v.wants("deploy.timeout", d.Timeout >= 0, "a time greater than 0")
	v.wants("deploy.ready", d.Ready == "" || strings.HasPrefix(d.Ready, "/"), "a path on the server, such as /health")
	if len(r.Targets) == 0 {
		return
	}
	if d.Deployer == DeployerStatic {
		v.given("deploy.model", d.Model, "name the served model, with {checkpoint}, {target}, {generation}")
	}
	if d.Deployer == DeployerCommand {
		v.server(d)
		return
	}
	v.wants("deploy.endpoint", httpURL(d.Endpoint), "the base URL of the server that serves checkpoints")
	v.noPassword("deploy.endpoint", d.Endpoint, keyByFile)
}

// server checks what the deployer command starts.
func (v *check) server(d Deploy) {
	if len(d.Command) == 0 {
		v.add("deploy.command", "missing", "name the program and its arguments, with {path}, {host}, {port}, {model}")
		return
	}
	if d.Endpoint != "" {
		v.add("deploy.endpoint", "the deployer command makes its own endpoint", "remove it; bridge.host and bridge.ports say where its servers listen")
	}
	all := strings.Join(d.Command, " ")
	v.wants("deploy.command", strings.Contains(all, "{path}"), "the checkpoint's folder, {path}, among the arguments")
	v.wants("deploy.command", strings.Contains(all, "{port}"), "the port to listen on, {port}, among the arguments")
}
