// Launcher tiles and palette commands for the dashboards and the reports that the server names in its page config.
// A prebuilt JupyterLab extension is a webpack container. This one is small enough to be written by hand, so that
// nobody needs Node.js to install the workbench: `init` is given the modules that Lab shares, `get` returns the plugin.
(function () {
  "use strict";

  const NEEDED = ["@jupyterlab/launcher", "@jupyterlab/apputils", "@jupyterlab/coreutils", "@jupyterlab/ui-components"];
  const CATEGORY = "TRII Workbench";
  let scope = null;

  async function shared(name) {
    const versions = scope[name] || {};
    const version = Object.values(versions).find((entry) => entry.loaded) || Object.values(versions)[0];
    if (!version) {
      throw new Error(`JupyterLab does not share ${name}`);
    }
    return (await version.get())();
  }

  async function plugin() {
    const [{ ILauncher }, { ICommandPalette }, { PageConfig }, { LabIcon }] = await Promise.all(NEEDED.map(shared));

    function activate(app, launcher, palette) {
      const tiles = JSON.parse(PageConfig.getOption("triiTiles") || "[]");
      tiles.forEach((tile, rank) => {
        const command = `trii:open-${tile.name}`;
        app.commands.addCommand(command, {
          label: tile.title,
          caption: tile.description,
          icon: new LabIcon({ name: `trii:${tile.icon.name}`, svgstr: tile.icon.svg }),
          describedBy: { args: { type: "object", properties: {} } },
          execute: () => {
            if (tile.folder) {
              return app.commands.execute("filebrowser:open-path", { path: tile.folder });
            }
            return void window.open(PageConfig.getBaseUrl() + tile.url, "_blank", "noopener");
          },
        });
        launcher?.add({ command, category: CATEGORY, rank });
        palette?.addItem({ command, category: CATEGORY });
      });
    }

    return {
      __esModule: true,
      default: [{ id: "@trii/workbench:tiles", autoStart: true, optional: [ILauncher, ICommandPalette], activate }],
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["@trii/workbench"] = {
    init: (given) => {
      scope = given;
    },
    get: async () => {
      const module = await plugin();
      return () => module;
    },
  };
})();
