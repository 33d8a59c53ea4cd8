// PM2 runs the service in production: `pm2 start ecosystem.config.js`, later `pm2 reload ...`.
// The processes read their settings from the environment and from the .env next to this file.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const program = path.join(__dirname, ".venv", "bin", "mpanel-billing");

// PM2 stops the old processes before it knows whether the new ones start. So it must not begin
// with settings that they would refuse; `pm2 stop` and the like work with any settings.
if (process.argv.some((word) => /^(start|restart|reload|startOr\w+)$/.test(word))) {
  checkSettings();
}

function checkSettings() {
  const env = path.join(__dirname, ".env");
  const file = fs.existsSync(env) ? env : "/dev/null";
  const check = spawnSync(program, ["doctor", "--settings", file], {
    cwd: __dirname,
    encoding: "utf8",
  });
  if (check.error || check.status !== 0) {
    throw new Error(
      `nothing was changed, because the settings are wrong:\n${check.error || check.stdout + check.stderr}`,
    );
  }
}

const common = {
  cwd: __dirname,
  env: {
    // the processes keep their counters in one folder, so that GET /metrics of any process covers
    // all; they create it, and remove the files of dead processes (docs/monitoring/README.md)
    PROMETHEUS_MULTIPROC_DIR:
      process.env.PROMETHEUS_MULTIPROC_DIR || path.join(__dirname, ".data", "metrics"),
  },
  script: ".venv/bin/mpanel-billing",
  interpreter: "none",
  exec_mode: "fork", // cluster mode is for Node only
  kill_timeout: 12000, // ms; both stop within 10 s
  stop_exit_codes: [78], // wrong settings: starting again cannot help
  exp_backoff_restart_delay: 200, // ms at first; a failing start does not spin
  max_memory_restart: "500M",
  wait_ready: true, // both report when they are ready
  listen_timeout: 15000, // ms to be ready
  merge_logs: true, // one file for all instances; each line is JSON with its time
};

module.exports = {
  apps: [
    {
      ...common,
      name: "tenant-billing",
      args: "serve",
      instances: 2, // they share PORT (SO_REUSEPORT): a reload replaces them one by one
    },
    {
      ...common,
      name: "tenant-billing-worker",
      args: "worker",
    },
  ],
};
