// PM2 runs the service in production: `pm2 start ecosystem.config.js`, later `pm2 reload ...`.
// The processes read their settings from the environment and from .env beside this file.

const common = {
  cwd: __dirname,
  script: ".venv/bin/mpanel-billing",
  interpreter: "none",
  exec_mode: "fork", // cluster mode is for Node only
  kill_timeout: 12000, // ms; both stop by themselves within 10 s
  exp_backoff_restart_delay: 200, // ms at first; a broken start does not spin
  max_memory_restart: "500M",
  merge_logs: true, // one file for all instances; each line is JSON with its time
};

module.exports = {
  apps: [
    {
      ...common,
      name: "tenant-billing",
      args: "serve",
      instances: 2, // they share PORT (SO_REUSEPORT): a reload replaces one after the other
      wait_ready: true,
      listen_timeout: 15000, // ms to be ready
    },
    {
      ...common,
      name: "tenant-billing-worker",
      args: "worker",
    },
  ],
};
