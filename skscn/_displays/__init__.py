"""Plots of fitted estimators and reports, in the style of scikit-learn's displays.

A fitted estimator, a report or plain arrays come in; a display goes out, which holds
the plotted arrays, the matplotlib axes and the figure. Each display has its own file;
open `dictionary` first, the shortest. `mosaic` arranges atoms in one image, `axes`
creates matplotlib axes, and `validation` checks what the displays have in common.
matplotlib is imported when something is plotted.
"""
